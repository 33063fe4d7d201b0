// What every kernel file begins with. `real` is float or double: the launcher compiles a file for either.
#ifndef REAL
#define REAL float
#endif
typedef REAL real;
