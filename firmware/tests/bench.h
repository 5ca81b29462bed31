/* A service on a simulated board with a clock that stands still. SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_H
#define BENCH_H

#include "check.h"
#include "simulated_board.h"

extern pd_selftest service;
extern simulated_board board;
extern pd_hardware hardware;
extern char reply[PD_REPLY_MAX + 1];
extern uint32_t now_ms;

/* Everything anew. */
void set_up(unsigned faults);

/* Result of a request; its reply is in `reply`, ended by a zero byte. */
int32_t request(const char *json);

/* Starts a test by a request, and polls until it ends; `reply` is then its report. */
pd_outcome run(const char *json);

/* Whether `reply` has this. */
bool says(const char *part);

#endif
