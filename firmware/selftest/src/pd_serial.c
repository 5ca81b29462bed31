/* Frames on a serial line: COBS, a length and a CRC. SPDX-License-Identifier: Apache-2.0 */
#include "pd_selftest.h"

#include <string.h>

enum { HEADER_SIZE = 4, CRC_SIZE = 4, RESULT_SIZE = 4 };

static void put_u32(uint8_t *out, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint32_t get_u32(const uint8_t *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

/* A COBS block: its code byte, then bytes that are not zero. */
typedef struct encoder {
    const pd_serial *serial;
    uint32_t crc;
    size_t size;
    uint8_t block[255];
} encoder;

static void end_block(encoder *e)
{
    e->block[0] = (uint8_t)e->size;
    e->serial->write(e->serial->context, e->block, e->size);
    e->size = 1;
}

static void encode(encoder *e, const uint8_t *data, size_t size)
{
    e->crc = pd_crc32_update(e->crc, data, size);
    for (size_t i = 0; i < size; i++) {
        if (data[i] == 0) {
            end_block(e);
        } else {
            e->block[e->size++] = data[i];
            if (e->size == sizeof e->block) {
                end_block(e);
            }
        }
    }
}

static void write_frame(const pd_serial *serial, uint8_t kind, uint8_t sequence, const uint8_t *head, size_t head_size,
                        const uint8_t *body, size_t body_size)
{
    static const uint8_t DELIMITER = 0;
    const size_t length = head_size + body_size;
    const uint8_t header[HEADER_SIZE] = { kind, sequence, (uint8_t)length, (uint8_t)(length >> 8) };
    uint8_t crc[CRC_SIZE];
    encoder e = { .serial = serial, .size = 1 };

    serial->write(serial->context, &DELIMITER, 1);
    encode(&e, header, sizeof header);
    encode(&e, head, head_size);
    encode(&e, body, body_size);
    put_u32(crc, e.crc);
    encode(&e, crc, sizeof crc);
    end_block(&e);
    serial->write(serial->context, &DELIMITER, 1);
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

void pd_serial_init(pd_serial *serial, pd_selftest *service,
                    void (*write)(void *context, const uint8_t *data, size_t size), void *context)
{
    memset(serial, 0, sizeof *serial);
    serial->service = service;
    serial->write = write;
    serial->context = context;
}

static void store(pd_serial *serial, uint8_t byte)
{
    if (serial->size == sizeof serial->frame) {
        serial->is_bad = true;
    } else {
        serial->frame[serial->size++] = byte;
    }
}

/* Takes a byte that is not zero out of its COBS block. */
static void decode(pd_serial *serial, uint8_t byte)
{
    if (serial->block_left > 0) {
        serial->block_left--;
        store(serial, byte);
        return;
    }
    /* A zero byte lies between two blocks, unless the first was full; none lies before the first. */
    if (serial->ends_in_zero) {
        store(serial, 0);
    }
    serial->ends_in_zero = byte != 255;
    serial->block_left = (uint8_t)(byte - 1);
}

static bool answer(pd_serial *serial)
{
    const uint8_t *const frame = serial->frame;
    uint8_t result[RESULT_SIZE];
    size_t reply_size;

    if (serial->is_bad || serial->block_left > 0 || serial->size < HEADER_SIZE + CRC_SIZE) {
        return false;
    }
    const size_t length = (size_t)frame[2] | (size_t)frame[3] << 8;
    if (length != serial->size - HEADER_SIZE - CRC_SIZE ||
        pd_crc32_update(0, frame, HEADER_SIZE + length) != get_u32(frame + HEADER_SIZE + length)) {
        return false;
    }
    if (frame[0] == PD_FRAME_PING && length == 0) {
        const uint8_t version[2] = { PD_SELFTEST_API_VERSION & 0xff, PD_SELFTEST_API_VERSION >> 8 };
        write_frame(serial, PD_FRAME_PONG, frame[1], version, sizeof version, NULL, 0);
        return false;
    }
    if (frame[0] != PD_FRAME_REQUEST) {
        return false;
    }
    const int32_t status = pd_selftest_request(serial->service, (const char *)frame + HEADER_SIZE, length,
                                               serial->reply, sizeof serial->reply, &reply_size);
    put_u32(result, (uint32_t)status);
    write_frame(serial, PD_FRAME_REPLY, frame[1], result, sizeof result, (const uint8_t *)serial->reply, reply_size);
    return status == PD_RESET_PENDING;
}

bool pd_serial_receive(pd_serial *serial, const uint8_t *data, size_t size)
{
    bool wants_reset = false;

    for (size_t i = 0; i < size; i++) {
        if (data[i] != 0) {
            decode(serial, data[i]);
            continue;
        }
        if (answer(serial)) {
            wants_reset = true;
        }
        serial->size = 0;
        serial->block_left = 0;
        serial->ends_in_zero = false;
        serial->is_bad = false;
    }
    return wants_reset;
}
