// Re-reads a vector table as a list of {name, kernel}; include after vector_kernels.cuh.
#undef OP1
#undef OP2
#undef OP3
#undef NEAR1
#undef NEAR2
#define OP1(name, ...) {#name, name},
#define OP2(name, ...) {#name, name},
#define OP3(name, ...) {#name, name},
#define NEAR1(name, ...) {#name, name},
#define NEAR2(name, ...) {#name, name},
