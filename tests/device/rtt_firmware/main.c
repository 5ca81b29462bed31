/* A test firmware with RTT: greets on up channel 0, answers each line of down channel 0 with the same in capitals. */

#include <stdint.h>

#define UP_SIZE 32u
#define DOWN_SIZE 16u

struct ring {
    const char *name;
    volatile char *buffer;
    uint32_t size;
    volatile uint32_t write;
    volatile uint32_t read;
    uint32_t flags;
};

static struct {
    volatile char id[16];
    uint32_t up_count;
    uint32_t down_count;
    struct ring up[1];
    struct ring down[1];
} block;
static volatile char up_buffer[UP_SIZE];
static volatile char down_buffer[DOWN_SIZE];

static void put(char c) {
    struct ring *ring = &block.up[0];
    uint32_t next = (ring->write + 1u) % ring->size;
    while (next == ring->read) {
        /* full: the host has to read first */
    }
    ring->buffer[ring->write] = c;
    ring->write = next;
}

static char get(void) {
    struct ring *ring = &block.down[0];
    while (ring->read == ring->write) {
    }
    char c = ring->buffer[ring->read];
    ring->read = (ring->read + 1u) % ring->size;
    return c;
}

static void print(const char *text) {
    while (*text) {
        put(*text++);
    }
}

static void start(void) {
    /* Nobody has cleared RAM. The id comes last, and backwards, so that flash holds no second one. */
    static const char id[] = "TTR REGGES";
    for (uint32_t n = 0; n < sizeof block.id; n++) {
        block.id[n] = 0;
    }
    block.up_count = block.down_count = 1;
    block.up[0] = (struct ring){"test", up_buffer, UP_SIZE, 0, 0, 0};
    block.down[0] = (struct ring){"test", down_buffer, DOWN_SIZE, 0, 0, 0};
    for (uint32_t n = 0; n < sizeof id - 1; n++) {
        block.id[n] = id[sizeof id - 2 - n];
    }
    print("ready: a greeting that is longer than the buffer it has to go through\n");
    for (;;) {
        char c = get();
        put(c >= 'a' && c <= 'z' ? (char)(c - 32) : c);
    }
}

__attribute__((section(".vectors"), used)) static void *const vectors[2] = {(void *)0x20010000, (void *)start};
