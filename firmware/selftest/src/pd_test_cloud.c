/* Tests of the radio and of what goes through the cloud. SPDX-License-Identifier: Apache-2.0 */
#include "pd_selftest_internal.h"

#include <string.h>

static const int32_t RADIO_TIMEOUT_S = 60, CONNECT_TIMEOUT_S = 600, EVENT_TIMEOUT_S = 30;

/* How long the test may take, by the parameter timeout_s; negative when that is no number of seconds. */
static int32_t timeout_ms(const pd_selftest *service, int32_t default_s)
{
    int32_t seconds = default_s;
    if (!pd_selftest_int(service, "timeout_s", &seconds) || seconds < 1 || seconds > 24 * 3600) {
        return -1;
    }
    return seconds * 1000;
}

/* PD_RUNNING until the time is over. */
static pd_outcome wait_on(pd_selftest *service, int32_t default_s, const char *message)
{
    const int32_t limit_ms = timeout_ms(service, default_s);
    if (limit_ms < 0) {
        pd_selftest_message(service, "timeout_s: a number of seconds");
        return PD_FAILED;
    }
    if (pd_selftest_elapsed_ms(service) < (uint32_t)limit_ms) {
        return PD_RUNNING;
    }
    pd_selftest_message(service, message);
    return PD_FAILED;
}

static pd_outcome fail(pd_selftest *service, const char *message)
{
    pd_selftest_message(service, message);
    return PD_FAILED;
}

static pd_outcome pass_after(pd_selftest *service)
{
    pd_selftest_measure(service, "time", "ms", (int32_t)(pd_selftest_elapsed_ms(service) & 0x7fffffffu));
    return PD_PASSED;
}

/* Parameter on: true or false; without it the test only looks. Cancelled, it stays as it is. */
pd_outcome pd_test_radio(pd_selftest *service)
{
    const pd_hardware *const hardware = service->hardware;
    const bool only_looks = !pd_selftest_is_given(service, "on");
    bool wanted = false;

    if (hardware->radio_state == NULL || hardware->radio_set == NULL) {
        return PD_NOT_SUPPORTED;
    }
    if (service->cancelled) {
        return PD_CANCELLED;
    }
    if (!pd_selftest_bool(service, "on", &wanted)) {
        return fail(service, "on: true or false");
    }
    if (service->step_number == 0 && !only_looks && !hardware->radio_set(hardware->context, wanted)) {
        return fail(service, "the radio does not take the request");
    }
    const pd_radio_state state = hardware->radio_state(hardware->context);
    if (state == PD_RADIO_ERROR) {
        return fail(service, "the radio does not answer");
    }
    if (!only_looks && state != (wanted ? PD_RADIO_ON : PD_RADIO_OFF)) {
        return wait_on(service, RADIO_TIMEOUT_S, "the radio does not change");
    }
    pd_selftest_text(service, "radio", state == PD_RADIO_ON ? "on" : state == PD_RADIO_OFF ? "off" : "changing");
    return pass_after(service);
}

static pd_outcome set_cloud(pd_selftest *service, bool connect)
{
    const pd_hardware *const hardware = service->hardware;

    if (hardware->cloud_set == NULL || hardware->cloud_is_connected == NULL) {
        return PD_NOT_SUPPORTED;
    }
    if (service->cancelled) {
        hardware->cloud_set(hardware->context, false);
        return PD_CANCELLED;
    }
    if (service->step_number == 0 && !hardware->cloud_set(hardware->context, connect)) {
        return fail(service, "the request is refused");
    }
    if (hardware->cloud_is_connected(hardware->context) == connect) {
        return pass_after(service);
    }
    const pd_outcome outcome = wait_on(service, CONNECT_TIMEOUT_S, connect ? "no connection" : "still connected");
    if (outcome == PD_FAILED && connect) {
        /* It must not go online after nobody waits any more. */
        hardware->cloud_set(hardware->context, false);
    }
    return outcome;
}

pd_outcome pd_test_connect(pd_selftest *service)
{
    return set_cloud(service, true);
}

pd_outcome pd_test_disconnect(pd_selftest *service)
{
    return set_cloud(service, false);
}

static bool is_online(const pd_hardware *hardware)
{
    return hardware->cloud_is_connected != NULL && hardware->cloud_is_connected(hardware->context);
}

/* Parameters name and data. Passes when the cloud has acknowledged the event. */
pd_outcome pd_test_publish(pd_selftest *service)
{
    const pd_hardware *const hardware = service->hardware;

    if (hardware->publish == NULL || hardware->publish_progress == NULL) {
        return PD_NOT_SUPPORTED;
    }
    if (service->cancelled) {
        return PD_CANCELLED;
    }
    if (service->step_number == 0) {
        char name[PD_NAME_SIZE * 4] = "selftest", data[PD_REQUEST_MAX / 4] = "";
        if (!pd_selftest_string(service, "name", name, sizeof name) ||
            !pd_selftest_string(service, "data", data, sizeof data)) {
            return fail(service, "name, data: text that is not too long");
        }
        if (!is_online(hardware)) {
            return fail(service, "not connected");
        }
        if (!hardware->publish(hardware->context, name, data)) {
            return fail(service, "the event is refused");
        }
    }
    switch (hardware->publish_progress(hardware->context)) {
    case PD_DONE:
        return pass_after(service);
    case PD_FAILURE:
        return fail(service, "the event is not acknowledged");
    default:
        return wait_on(service, EVENT_TIMEOUT_S, "no acknowledgement");
    }
}

enum { ECHO_BEGUN = 1 }; /* of state[0] */

/* Parameter name: a prefix. The first event that arrives is published again, its name followed by "/echo". */
pd_outcome pd_test_subscribe(pd_selftest *service)
{
    const pd_hardware *const hardware = service->hardware;
    static const char SUFFIX[] = "/echo";
    char name[PD_REQUEST_MAX / 4 + sizeof SUFFIX] = "selftest";

    if (hardware->subscribe == NULL || hardware->publish == NULL || hardware->publish_progress == NULL) {
        return PD_NOT_SUPPORTED;
    }
    if (service->cancelled) {
        return PD_CANCELLED;
    }
    if (service->step_number == 0) {
        if (!pd_selftest_string(service, "name", name, PD_NAME_SIZE * 4)) {
            return fail(service, "name: text that is not too long");
        }
        if (!is_online(hardware)) {
            return fail(service, "not connected");
        }
        if (!hardware->subscribe(hardware->context, name)) {
            return fail(service, "the subscription is refused");
        }
    }
    if (service->event_count == 0) {
        return wait_on(service, EVENT_TIMEOUT_S, "no event");
    }
    if (service->state[0] != ECHO_BEGUN) {
        service->state[0] = ECHO_BEGUN;
        pd_selftest_text(service, "name", service->event_name);
        pd_selftest_text(service, "data", service->event_data);
        pd_copy_text(name, sizeof name, service->event_name);
        memcpy(name + strlen(name), SUFFIX, sizeof SUFFIX);
        if (!hardware->publish(hardware->context, name, service->event_data)) {
            return fail(service, "the echo is refused");
        }
    }
    switch (hardware->publish_progress(hardware->context)) {
    case PD_DONE:
        return pass_after(service);
    case PD_FAILURE:
        return fail(service, "the echo is not acknowledged");
    default:
        return wait_on(service, EVENT_TIMEOUT_S, "no acknowledgement");
    }
}

/* Waits for a call of the cloud function. */
pd_outcome pd_test_function(pd_selftest *service)
{
    const pd_hardware *const hardware = service->hardware;

    if (hardware->cloud_is_connected == NULL) {
        return PD_NOT_SUPPORTED;
    }
    if (service->cancelled) {
        return PD_CANCELLED;
    }
    if (service->step_number == 0 && !is_online(hardware)) {
        return fail(service, "not connected");
    }
    if (service->function_count == 0) {
        return wait_on(service, EVENT_TIMEOUT_S, "no call");
    }
    pd_selftest_text(service, "argument", service->event_data);
    return pass_after(service);
}
