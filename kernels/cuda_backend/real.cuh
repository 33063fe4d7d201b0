// What every kernel file begins with. `real` is float or double: the launcher compiles a file for either.
#ifndef REAL
#define REAL float
#endif
typedef REAL real;

__device__ inline real infinity() { return real(__int_as_float(0x7f800000)); }
__device__ inline real not_a_number() { return real(__int_as_float(0x7fc00000)); }
