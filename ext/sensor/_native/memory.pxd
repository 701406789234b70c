# Fixed arenas: taken once at start, zero pages until touched, huge pages where the kernel gives
# them.
from libc.stddef cimport size_t

cdef extern from *:
    """
    #include <stddef.h>
    #include <sys/mman.h>
    static void *sensor_arena_new(size_t n) {
        void *p = mmap(0, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) return 0;
    #ifdef MADV_HUGEPAGE
        if (n >= (2u << 20)) (void)madvise(p, n, MADV_HUGEPAGE);
    #endif
        return p;
    }
    static void sensor_arena_free(void *p, size_t n) { if (p) (void)munmap(p, n); }
    """
    void* arena_new "sensor_arena_new"(size_t n) noexcept nogil
    void arena_free "sensor_arena_free"(void* p, size_t n) noexcept nogil
