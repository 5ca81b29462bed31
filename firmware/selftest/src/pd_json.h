/* JSON, as much as requests need. SPDX-License-Identifier: Apache-2.0 */
#ifndef PD_JSON_H
#define PD_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PD_JSON_DEPTH_MAX = 8 };

/* Part of a text; size 0: nothing. */
typedef struct pd_json {
    const char *text;
    size_t size;
} pd_json;

/* One value, nothing but white space around it. */
bool pd_json_is_object(pd_json document);

/* The value of a key of an object that was found valid; empty when it is not there. The first of several counts. */
pd_json pd_json_find(pd_json object, const char *key);

/* False when the value is of another type or does not fit. Strings end with a zero byte and may hold none. */
bool pd_json_int(pd_json value, int32_t *out);
bool pd_json_bool(pd_json value, bool *out);
bool pd_json_string(pd_json value, char *out, size_t size);

/* Writes; what does not fit is left out and makes `overflow` true. Commas come by themselves. */
typedef struct pd_json_writer {
    char *out;
    size_t max;
    size_t size;
    bool overflow;
    bool needs_comma;
} pd_json_writer;

void pd_json_open(pd_json_writer *writer, char bracket);
void pd_json_close(pd_json_writer *writer, char bracket);
void pd_json_key(pd_json_writer *writer, const char *key);
void pd_json_put_int(pd_json_writer *writer, int32_t value);
void pd_json_put_bool(pd_json_writer *writer, bool value);
void pd_json_put_string(pd_json_writer *writer, const char *text);

/* A string in parts. */
void pd_json_begin_string(pd_json_writer *writer);
void pd_json_part(pd_json_writer *writer, const char *text);
void pd_json_end_string(pd_json_writer *writer);

/* Decimal digits of a number. Shared with those who write text. */
enum { PD_INT_TEXT_SIZE = 12 };
const char *pd_int_text(int32_t value, char out[PD_INT_TEXT_SIZE]);

#endif
