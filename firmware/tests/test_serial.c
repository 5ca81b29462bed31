/* Frames on a serial line, between anything else. SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

static pd_serial serial;
static uint8_t sent[4096];
static size_t sent_size;

static void collect(void *context, const uint8_t *data, size_t size)
{
    (void)context;
    CHECK(size <= sizeof sent - sent_size);
    memcpy(sent + sent_size, data, size);
    sent_size += size;
}

static void set_up_line(void)
{
    set_up(0);
    pd_serial_init(&serial, &service, collect, NULL);
    sent_size = 0;
}

/* COBS as its authors describe it, written apart from the library: a code byte counts up to the next zero byte. */
static size_t encode(const uint8_t *in, size_t size, uint8_t *out)
{
    size_t code_at = 0, used = 1;
    for (size_t i = 0; i <= size; i++) {
        if (i == size || in[i] == 0 || used - code_at == 255) {
            const bool is_full = i < size && in[i] != 0;
            out[code_at] = (uint8_t)(used - code_at);
            code_at = used++;
            if (is_full) {
                i--;
            }
        } else {
            out[used++] = in[i];
        }
    }
    return used - 1;
}

static size_t decode(const uint8_t *in, size_t size, uint8_t *out)
{
    size_t used = 0;
    for (size_t i = 0; i < size;) {
        const uint8_t code = in[i++];
        CHECK(code != 0 && (size_t)code - 1 <= size - i);
        memcpy(out + used, in + i, code - 1u);
        used += code - 1u;
        i += code - 1u;
        if (code != 255 && i < size) {
            out[used++] = 0;
        }
    }
    return used;
}

static size_t frame(uint8_t kind, uint8_t sequence, const char *payload, uint8_t *out)
{
    uint8_t plain[1024] = { kind, sequence };
    const size_t length = strlen(payload);
    plain[2] = (uint8_t)length;
    plain[3] = (uint8_t)(length >> 8);
    memcpy(plain + 4, payload, length);
    const uint32_t crc = pd_crc32_update(0, plain, length + 4);
    for (unsigned i = 0; i < 4; i++) {
        plain[4 + length + i] = (uint8_t)(crc >> (8 * i));
    }
    out[0] = 0;
    const size_t size = encode(plain, length + 8, out + 1);
    out[size + 1] = 0;
    return size + 2;
}

/* The only frame that was sent, or nothing. */
static size_t sent_frame(uint8_t out[4096])
{
    CHECK(sent_size == 0 || (sent_size > 2 && sent[0] == 0 && sent[sent_size - 1] == 0));
    return sent_size == 0 ? 0 : decode(sent + 1, sent_size - 2, out);
}

static void expect_reply(uint8_t sequence, int32_t result, const char *json)
{
    static uint8_t out[4096];
    const size_t size = sent_frame(out);
    const size_t length = strlen(json) + 4;
    CHECK(size == length + 8);
    if (size == length + 8) {
        CHECK(out[0] == PD_FRAME_REPLY && out[1] == sequence && out[2] == (length & 255) && out[3] == length >> 8);
        CHECK((int32_t)((uint32_t)out[4] | (uint32_t)out[5] << 8 | (uint32_t)out[6] << 16 | (uint32_t)out[7] << 24) ==
              result);
        CHECK(memcmp(out + 8, json, length - 4) == 0);
        CHECK(pd_crc32_update(0, out, size) == 0x2144df1c); /* the CRC of anything with its CRC behind it */
    }
    sent_size = 0;
}

static void test_request_and_reply(void)
{
    uint8_t bytes[1024];
    set_up_line();
    size_t size = frame(PD_FRAME_REQUEST, 9, "{\"c\":\"s\"}", bytes);
    CHECK(!pd_serial_receive(&serial, bytes, size));
    expect_reply(9, PD_WAITING, "");
    size = frame(PD_FRAME_REQUEST, 0, "", bytes);
    CHECK(!pd_serial_receive(&serial, bytes, size));
    expect_reply(0, 0, "");
    size = frame(PD_FRAME_REQUEST, 255, "{\"c\":\"r\"}", bytes);
    CHECK(pd_serial_receive(&serial, bytes, size));
    expect_reply(255, PD_RESET_PENDING, "");
    CHECK(request("{\"c\":\"d\"}") == 0 && strlen(reply) > 255);
    size = frame(PD_FRAME_REQUEST, 1, "{\"c\":\"d\"}", bytes);
    CHECK(!pd_serial_receive(&serial, bytes, size));
    expect_reply(1, 0, reply);
}

static void test_ping(void)
{
    uint8_t bytes[64], out[4096];
    set_up_line();
    const size_t size = frame(PD_FRAME_PING, 5, "", bytes);
    pd_serial_receive(&serial, bytes, size);
    CHECK(sent_frame(out) == 10 && out[0] == PD_FRAME_PONG && out[1] == 5 && out[2] == 2 && out[3] == 0);
    CHECK(out[4] == PD_SELFTEST_API_VERSION && out[5] == 0);
}

static void test_byte_by_byte_after_garbage(void)
{
    static const uint8_t GARBAGE[] = "\xff\x01 0000000042 [app] INFO: hello\r\n\x55\xaa";
    uint8_t bytes[1024];
    set_up_line();
    const size_t size = frame(PD_FRAME_REQUEST, 3, "{\"c\":\"s\"}", bytes);
    for (size_t cut = 0; cut < sizeof GARBAGE; cut++) {
        pd_serial_receive(&serial, GARBAGE, cut);
        for (size_t i = 0; i < size; i++) {
            pd_serial_receive(&serial, bytes + i, 1);
        }
        expect_reply(3, PD_WAITING, "");
    }
}

static void test_every_broken_frame_is_dropped_and_the_next_one_read(void)
{
    uint8_t bytes[1024], good[1024];
    set_up_line();
    const size_t good_size = frame(PD_FRAME_REQUEST, 4, "{\"c\":\"s\"}", good);
    const size_t size = frame(PD_FRAME_REQUEST, 3, "{\"c\":\"t\",\"t\":\"adc\"}", bytes);
    for (size_t at = 1; at < size - 1; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[at] ^= (uint8_t)(1u << bit);
            pd_serial_receive(&serial, bytes, size);
            CHECK(sent_size == 0);
            bytes[at] ^= (uint8_t)(1u << bit);
        }
        pd_serial_receive(&serial, bytes, at); /* cut short */
        CHECK(sent_size == 0);
        pd_serial_receive(&serial, good, good_size);
        expect_reply(4, PD_WAITING, "");
    }
    CHECK(service.outcome == PD_WAITING);
}

static void test_frames_that_are_too_long(void)
{
    static char text[1024];
    uint8_t bytes[1200];
    set_up_line();
    memset(text, ' ', PD_REQUEST_MAX);
    text[0] = '{';
    text[PD_REQUEST_MAX - 1] = '}';
    size_t size = frame(PD_FRAME_REQUEST, 1, text, bytes);
    pd_serial_receive(&serial, bytes, size);
    expect_reply(1, PD_ERROR_INVALID_ARGUMENT, "");
    memset(text, 'x', sizeof text - 1);
    text[PD_REQUEST_MAX + 1] = '\0';
    size = frame(PD_FRAME_REQUEST, 1, text, bytes);
    pd_serial_receive(&serial, bytes, size);
    CHECK(sent_size == 0);
    size = frame(PD_FRAME_REQUEST, 2, "{\"c\":\"s\"}", bytes);
    pd_serial_receive(&serial, bytes, size);
    expect_reply(2, PD_WAITING, "");
    size = frame('Z', 2, "", bytes);
    pd_serial_receive(&serial, bytes, size);
    CHECK(sent_size == 0);
}

const test SERIAL_TESTS[] = {
    { "serial: request and reply", test_request_and_reply },
    { "serial: ping", test_ping },
    { "serial: byte by byte, after garbage", test_byte_by_byte_after_garbage },
    { "serial: every broken frame is dropped", test_every_broken_frame_is_dropped_and_the_next_one_read },
    { "serial: frames that are too long", test_frames_that_are_too_long },
    { NULL, NULL },
};
