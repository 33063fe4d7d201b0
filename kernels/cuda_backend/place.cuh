// Where element i of (planes, rows, columns) lies: i = (plane * rows + row) * columns + column.
struct Place { int plane, row, column; };

__device__ inline Place place(unsigned i, unsigned rows, unsigned columns) {
    const unsigned line = i / columns, plane = line / rows;
    return {int(plane), int(line - plane * rows), int(i - line * columns)};
}
