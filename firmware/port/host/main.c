/*
 * The self-test on a PC, with a simulated board behind a pseudo-terminal that particle-dev opens as a serial port.
 *
 *   selftest_host [--faults NUMBER] [--program ADDRESS FILE]
 *
 * Prints the name of the terminal, serves it, and ends when standard input does. --program: what lies in program memory
 * from that address on. With --requests there is no terminal: each line of standard input is the payload of an app custom
 * request, and each line of standard output its result and its reply. SPDX-License-Identifier: Apache-2.0
 */
#define _XOPEN_SOURCE 600

#include "simulated_device.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static uint32_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u);
}

static void write_all(void *context, const uint8_t *data, size_t size)
{
    const int terminal = *(int *)context;
    while (size > 0) {
        const ssize_t count = write(terminal, data, size);
        if (count < 0) {
            return; /* nobody has it open */
        }
        data += count;
        size -= (size_t)count;
    }
}

static int open_terminal(void)
{
    struct termios settings;
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0) {
        perror("selftest_host: no pseudo-terminal");
        exit(1);
    }
    const char *const name = ptsname(terminal);
    /* Kept open: without any holder the terminal would hang up, and lose its settings. */
    const int other_side = open(name, O_RDWR | O_NOCTTY);
    if (other_side < 0 || tcgetattr(other_side, &settings) != 0) {
        perror("selftest_host: no pseudo-terminal");
        exit(1);
    }
    settings.c_iflag = 0;
    settings.c_oflag = 0;
    settings.c_lflag = 0;
    tcsetattr(other_side, TCSANOW, &settings);
    puts(name);
    fflush(stdout);
    return terminal;
}

static void serve_terminal(simulated_device *device, int terminal)
{
    struct pollfd files[2] = { { .fd = terminal, .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
    uint8_t bytes[256];

    for (;;) {
        const bool is_running = simulated_device_poll(device);
        if (poll(files, 2, is_running ? 0 : -1) <= 0) {
            continue;
        }
        if (files[0].revents != 0) {
            const ssize_t count = read(terminal, bytes, sizeof bytes);
            if (count > 0) {
                simulated_device_receive(device, bytes, (size_t)count);
            }
        }
        if (files[1].revents != 0 && read(STDIN_FILENO, bytes, sizeof bytes) <= 0) {
            return;
        }
    }
}

/* A USB device has no line: the test runs on between requests. */
static void serve_requests(simulated_device *device)
{
    static char line[2048], reply[PD_REPLY_MAX];

    while (fgets(line, sizeof line, stdin) != NULL) {
        size_t size = strcspn(line, "\n");
        const int32_t result =
            pd_selftest_request(&device->service, line, size, reply, sizeof reply, &size);
        printf("%d %.*s\n", (int)result, (int)size, reply);
        fflush(stdout);
        for (unsigned i = 0; i < 8; i++) {
            simulated_device_poll(device);
        }
    }
}

static uint8_t *read_program(const char *path, uint32_t *size)
{
    FILE *const file = fopen(path, "rb");
    uint8_t *const bytes = malloc(0x100000);
    if (file == NULL || bytes == NULL) {
        perror(path);
        exit(1);
    }
    *size = (uint32_t)fread(bytes, 1, 0x100000, file);
    fclose(file);
    return bytes;
}

int main(int argc, char **argv)
{
    static simulated_device device;
    uint8_t *program = NULL;
    bool is_usb = false;
    static int terminal;

    device.board = (simulated_board){ .now_ms = now_ms, .device_id = "0123456789abcdef01234567" };
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--requests") == 0) {
            is_usb = true;
        } else if (strcmp(argv[i], "--faults") == 0 && i + 1 < argc) {
            device.board.faults = (unsigned)strtoul(argv[++i], NULL, 0);
        } else if (strcmp(argv[i], "--program") == 0 && i + 2 < argc) {
            device.board.program_address = (uint32_t)strtoul(argv[++i], NULL, 0);
            program = read_program(argv[++i], &device.board.program_size);
            device.board.program = program;
        } else {
            fprintf(stderr, "selftest_host [--requests] [--faults NUMBER] [--program ADDRESS FILE]\n");
            return 2;
        }
    }
    device.write = write_all;
    device.context = &terminal;
    simulated_device_init(&device, program != NULL);
    if (is_usb) {
        serve_requests(&device);
    } else {
        terminal = open_terminal();
        serve_terminal(&device, terminal);
    }
    free(program);
    return 0;
}
