/* Reads requests and writes replies. No recursion: the depth is a number. SPDX-License-Identifier: Apache-2.0 */
#include "pd_json.h"

#include <string.h>

/* ---- reading ---------------------------------------------------------------------------------------------------- */

typedef struct cursor {
    const char *at;
    const char *end;
} cursor;

static void skip_space(cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r')) {
        c->at++;
    }
}

static bool take(cursor *c, char wanted)
{
    if (c->at < c->end && *c->at == wanted) {
        c->at++;
        return true;
    }
    return false;
}

static bool take_word(cursor *c, const char *word)
{
    const size_t size = strlen(word);
    if ((size_t)(c->end - c->at) < size || memcmp(c->at, word, size) != 0) {
        return false;
    }
    c->at += size;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_value(char c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One character of a string as UTF-8; 0 at its closing quote, -1 when it is not well formed. */
static int take_character(cursor *c, char out[3])
{
    if (c->at >= c->end || (unsigned char)*c->at < 0x20) {
        return -1;
    }
    const char first = *c->at++;
    if (first == '"') {
        return 0;
    }
    if (first != '\\') {
        out[0] = first;
        return 1;
    }
    if (c->at >= c->end) {
        return -1;
    }
    static const char PLAIN[] = "\"\\/bfnrt", MEANT[] = "\"\\/\b\f\n\r\t";
    const char escape = *c->at++;
    for (size_t i = 0; PLAIN[i] != '\0'; i++) {
        if (PLAIN[i] == escape) {
            out[0] = MEANT[i];
            return 1;
        }
    }
    if (escape != 'u' || c->end - c->at < 4) {
        return -1;
    }
    unsigned code = 0;
    for (unsigned i = 0; i < 4; i++) {
        const int digit = hex_value(*c->at++);
        if (digit < 0) {
            return -1;
        }
        code = code * 16 + (unsigned)digit;
    }
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    out[0] = (char)(0xe0 | code >> 12);
    out[1] = (char)(0x80 | (code >> 6 & 0x3f));
    out[2] = (char)(0x80 | (code & 0x3f));
    return 3;
}

static bool skip_string(cursor *c)
{
    char character[3];
    int size;
    if (!take(c, '"')) {
        return false;
    }
    do {
        size = take_character(c, character);
    } while (size > 0);
    return size == 0;
}

static bool skip_digits(cursor *c)
{
    const char *const start = c->at;
    while (c->at < c->end && is_digit(*c->at)) {
        c->at++;
    }
    return c->at > start;
}

static bool skip_number(cursor *c)
{
    take(c, '-');
    if (!take(c, '0') && !skip_digits(c)) {
        return false;
    }
    if (take(c, '.') && !skip_digits(c)) {
        return false;
    }
    if (take(c, 'e') || take(c, 'E')) {
        if (!take(c, '+')) {
            take(c, '-');
        }
        return skip_digits(c);
    }
    return true;
}

static bool skip_key(cursor *c)
{
    skip_space(c);
    if (!skip_string(c)) {
        return false;
    }
    skip_space(c);
    return take(c, ':');
}

static bool skip_value(cursor *c)
{
    char open[PD_JSON_DEPTH_MAX];
    size_t depth = 0;

    for (;;) {
        skip_space(c);
        const bool is_object = take(c, '{');
        if (is_object || take(c, '[')) {
            if (depth == PD_JSON_DEPTH_MAX) {
                return false;
            }
            open[depth++] = is_object ? '}' : ']';
            skip_space(c);
            if (!take(c, open[depth - 1])) {
                if (is_object && !skip_key(c)) {
                    return false;
                }
                continue;
            }
            depth--;
        } else if (!skip_string(c) && !take_word(c, "true") && !take_word(c, "false") && !take_word(c, "null") &&
                   !skip_number(c)) {
            return false;
        }
        for (;;) {
            if (depth == 0) {
                return true;
            }
            skip_space(c);
            if (take(c, ',')) {
                if (open[depth - 1] == '}' && !skip_key(c)) {
                    return false;
                }
                break;
            }
            if (!take(c, open[depth - 1])) {
                return false;
            }
            depth--;
        }
    }
}

static cursor cursor_of(pd_json value)
{
    return (cursor){ value.text, value.text + value.size };
}

bool pd_json_is_object(pd_json document)
{
    cursor c = cursor_of(document);
    skip_space(&c);
    if (c.at == c.end || *c.at != '{' || !skip_value(&c)) {
        return false;
    }
    skip_space(&c);
    return c.at == c.end;
}

/* Whether the string at the cursor, which is valid, says `key`; the cursor goes behind it. */
static bool take_key(cursor *c, const char *key)
{
    char character[3];
    int size;
    bool is_same = true;
    size_t i = 0;
    const size_t key_size = strlen(key);

    take(c, '"');
    while ((size = take_character(c, character)) > 0) {
        is_same = is_same && (size_t)size <= key_size - i && memcmp(key + i, character, (size_t)size) == 0;
        i += is_same ? (size_t)size : 0;
    }
    return is_same && i == key_size;
}

pd_json pd_json_find(pd_json object, const char *key)
{
    static const pd_json NOTHING = { "", 0 };
    cursor c = cursor_of(object);

    skip_space(&c);
    if (!take(&c, '{')) {
        return NOTHING;
    }
    skip_space(&c);
    if (take(&c, '}')) {
        return NOTHING;
    }
    do {
        skip_space(&c);
        const bool is_it = take_key(&c, key);
        skip_space(&c);
        take(&c, ':');
        skip_space(&c);
        const char *const start = c.at;
        if (!skip_value(&c)) {
            return NOTHING;
        }
        if (is_it) {
            return (pd_json){ start, (size_t)(c.at - start) };
        }
        skip_space(&c);
    } while (take(&c, ','));
    return NOTHING;
}

bool pd_json_int(pd_json value, int32_t *out)
{
    cursor c = cursor_of(value);
    const bool is_negative = take(&c, '-');
    const uint32_t limit = is_negative ? 0x80000000u : 0x7fffffffu;
    uint32_t number = 0;

    if (c.at == c.end) {
        return false;
    }
    for (; c.at < c.end; c.at++) {
        const uint32_t digit = (uint32_t)(*c.at - '0');
        if (!is_digit(*c.at) || number > (limit - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    /* -0x80000000 has no positive counterpart. */
    *out = is_negative && number > 0 ? -(int32_t)(number - 1) - 1 : (int32_t)number;
    return true;
}

bool pd_json_bool(pd_json value, bool *out)
{
    cursor c = cursor_of(value);
    int32_t number;

    if (take_word(&c, "true") || take_word(&c, "false")) {
        *out = value.text[0] == 't';
        return true;
    }
    if (!pd_json_int(value, &number)) {
        return false;
    }
    *out = number != 0;
    return true;
}

bool pd_json_string(pd_json value, char *out, size_t size)
{
    cursor c = cursor_of(value);
    char character[3];
    int count;
    size_t used = 0;

    if (!take(&c, '"')) {
        return false;
    }
    while ((count = take_character(&c, character)) > 0) {
        if (character[0] == '\0' || (size_t)count >= size - used) {
            return false;
        }
        memcpy(out + used, character, (size_t)count);
        used += (size_t)count;
    }
    if (count < 0 || used >= size) {
        return false;
    }
    out[used] = '\0';
    return true;
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

static void put(pd_json_writer *writer, const char *text, size_t size)
{
    if (writer->overflow || size > writer->max - writer->size) {
        writer->overflow = true;
        return;
    }
    memcpy(writer->out + writer->size, text, size);
    writer->size += size;
}

static void put_character(pd_json_writer *writer, char character)
{
    put(writer, &character, 1);
}

static void begin_value(pd_json_writer *writer)
{
    if (writer->needs_comma) {
        put_character(writer, ',');
    }
    writer->needs_comma = true;
}

void pd_json_open(pd_json_writer *writer, char bracket)
{
    begin_value(writer);
    put_character(writer, bracket);
    writer->needs_comma = false;
}

void pd_json_close(pd_json_writer *writer, char bracket)
{
    put_character(writer, bracket);
    writer->needs_comma = true;
}

void pd_json_key(pd_json_writer *writer, const char *key)
{
    pd_json_put_string(writer, key);
    put_character(writer, ':');
    writer->needs_comma = false;
}

const char *pd_int_text(int32_t value, char out[PD_INT_TEXT_SIZE])
{
    uint32_t rest = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
    size_t i = PD_INT_TEXT_SIZE - 1;

    out[i] = '\0';
    do {
        out[--i] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        out[--i] = '-';
    }
    return out + i;
}

void pd_json_put_int(pd_json_writer *writer, int32_t value)
{
    char digits[PD_INT_TEXT_SIZE];
    const char *const text = pd_int_text(value, digits);

    begin_value(writer);
    put(writer, text, strlen(text));
}

void pd_json_put_bool(pd_json_writer *writer, bool value)
{
    begin_value(writer);
    put(writer, value ? "true" : "false", value ? 4 : 5);
}

void pd_json_begin_string(pd_json_writer *writer)
{
    begin_value(writer);
    put_character(writer, '"');
}

void pd_json_part(pd_json_writer *writer, const char *text)
{
    static const char HEX[] = "0123456789abcdef";

    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            put_character(writer, '\\');
            put_character(writer, *text);
        } else if (c < 0x20 || c >= 0x7f) {
            /* What comes off hardware need not be UTF-8; as Latin-1 it is at least visible. */
            const char escape[6] = { '\\', 'u', '0', '0', HEX[c >> 4], HEX[c & 15] };
            put(writer, escape, sizeof escape);
        } else {
            put_character(writer, *text);
        }
    }
}

void pd_json_end_string(pd_json_writer *writer)
{
    put_character(writer, '"');
}

void pd_json_put_string(pd_json_writer *writer, const char *text)
{
    pd_json_begin_string(writer);
    pd_json_part(writer, text);
    pd_json_end_string(writer);
}
