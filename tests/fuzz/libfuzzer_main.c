// libFuzzer's door to one target; FUZZ_TARGET is the function that fuzz_<target>.pyx defines.
#include <stddef.h>
#include <stdint.h>

int FUZZ_TARGET(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return FUZZ_TARGET(data, size);
}
