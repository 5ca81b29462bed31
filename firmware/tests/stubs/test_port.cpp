/* The factory_test example of the Particle port on a Device OS of stubs: see Particle.h for what that proves.
 * SPDX-License-Identifier: Apache-2.0 */
#include "Particle.h"

#include "pd_selftest.h"

#include <stdio.h>
#include <stdlib.h>

static int failures;
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                                     \
            failures++;                                                                                                \
        }                                                                                                              \
    } while (0)

/* ---- the stubs ---------------------------------------------------------------------------------------------------- */

System_Mode_TypeDef stubSystemMode;
Feature stubSystemThread;
USARTSerial Serial1;
TwoWire Wire;
SystemClass System;
CellularClass Cellular;
CloudClass Particle;

static uint32_t now;
static bool radioIsOn = true, isConnected;
static int connects, resets;
static PinMode modes[32];
static uint8_t levels[32];
static uint8_t i2cAddress;
static uint8_t nackStatus = 7;
static uint8_t toDevice[512], fromDevice[4096];
static size_t toDeviceSize, toDeviceAt, fromDeviceSize;
static EventHandler eventHandler;
static int (*cloudFunction)(String);
static char publishedName[64], publishedData[64];

void pinMode(uint16_t pin, PinMode mode) { modes[pin] = mode; }
void digitalWrite(uint16_t pin, uint8_t value) { levels[pin] = value; }
int32_t digitalRead(uint16_t pin) {
    const uint16_t other = pin ^ 1; /* D2-D3 and D4-D5 are joined */
    return modes[other] == OUTPUT ? levels[other] : modes[pin] == INPUT_PULLUP;
}
int32_t analogRead(uint16_t) { return 2048; }
uint32_t millis() { return now++; }
void delay(unsigned ms) { now += ms; }
void delayMicroseconds(unsigned) {}
void USARTSerial::begin(unsigned long) {}
int USARTSerial::available() { return (int)(toDeviceSize - toDeviceAt); }
int USARTSerial::read() { return toDevice[toDeviceAt++]; }
void USARTSerial::flush() {}
size_t USARTSerial::write(const uint8_t *data, size_t size) {
    memcpy(fromDevice + fromDeviceSize, data, size);
    fromDeviceSize += size;
    return size;
}
void TwoWire::begin() {}
void TwoWire::beginTransmission(uint8_t address) { i2cAddress = address; }
uint8_t TwoWire::endTransmission() { return i2cAddress == 0x68 ? 0 : nackStatus; }
String SystemClass::deviceID() { return "e00fce681122334455667788"; }
String SystemClass::version() { return "6.2.0"; }
uint32_t SystemClass::freeMemory() { return 80000; }
int SystemClass::resetReason() { return 20; }
void SystemClass::reset() { resets++; }
void CellularClass::on() { radioIsOn = true; }
void CellularClass::off() { radioIsOn = false; }
bool CellularClass::isOn() { return radioIsOn; }
bool CellularClass::isOff() { return !radioIsOn; }
int particle::AbstractIntegerDiagnosticData::get(DiagnosticDataId id, int32_t &value) {
    value = id == DIAG_ID_CLOUD_CONNECTION_ATTEMPTS ? connects : 0;
    return 0;
}
void CloudClass::connect() {
    connects++;
    isConnected = true;
}
void CloudClass::disconnect() { isConnected = false; }
bool CloudClass::connected() { return isConnected; }
particle::Future<bool> CloudClass::publish(const char *name, const char *data, PublishFlags) {
    particle::Future<bool> future;
    strncpy(publishedName, name, sizeof publishedName - 1);
    strncpy(publishedData, data, sizeof publishedData - 1);
    future.state_ = isConnected ? 1 : 2;
    return future;
}
bool CloudClass::subscribe(const char *, EventHandler handler) {
    eventHandler = handler;
    return true;
}
bool CloudClass::function(const char *, int (*function)(String)) {
    cloudFunction = function;
    return true;
}

static int lastResult;
int system_ctrl_alloc_reply_data(ctrl_request *req, size_t size, void *) {
    void *const data = realloc(req->reply_data, size != 0 ? size : 1);
    if (data == NULL) {
        return -260;
    }
    req->reply_data = (char *)data;
    req->reply_size = size;
    return 0;
}
void system_ctrl_set_result(ctrl_request *, int result, ctrl_completion_handler_fn handler, void *data, void *) {
    lastResult = result;
    if (handler != NULL) {
        handler(0, data);
    }
}

/* ---- the tests ---------------------------------------------------------------------------------------------------- */

static char reply[4096];

static int request(const char *json) {
    ctrl_request req = {};
    req.request_data = (char *)json;
    req.request_size = strlen(json);
    lastResult = -1;
    ctrl_request_custom_handler(&req);
    memcpy(reply, req.reply_data, req.reply_size);
    reply[req.reply_size] = '\0';
    free(req.reply_data);
    return lastResult;
}

static int run(const char *json) {
    CHECK(request(json) == 0);
    for (unsigned i = 0; i < 5000 && request("{\"c\":\"s\"}") == PD_RUNNING; i++) {
        loop();
    }
    const int status = request("{\"c\":\"s\"}");
    CHECK(request("{\"c\":\"R\"}") == 0);
    return status;
}

static bool says(const char *part) { return strstr(reply, part) != NULL; }

int main() {
    setup();
    CHECK(stubSystemMode == MANUAL && stubSystemThread == ENABLED);
    CHECK(!radioIsOn && connects == 0);

    CHECK(request("") == 0);
    CHECK(run("{\"c\":\"t\",\"t\":\"identity\"}") == PD_PASSED && says("\"text\":\"boron\"") && says("\"6.2.0\""));
    CHECK(says("e00fce681122334455667788") && says("\"hardware\",\"text\":\"A\""));
    CHECK(run("{\"c\":\"t\",\"t\":\"counters\"}") == PD_PASSED && says("\"free_memory\",\"unit\":\"B\",\"value\":80000"));
    CHECK(run("{\"c\":\"t\",\"t\":\"gpio\"}") == PD_PASSED && says("D4-D5") && modes[4] == INPUT);
    CHECK(run("{\"c\":\"t\",\"t\":\"i2c\"}") == PD_PASSED && says("\"imu\""));
    nackStatus = 3;
    CHECK(run("{\"c\":\"t\",\"t\":\"i2c\"}") == PD_PASSED);
    nackStatus = 5;
    CHECK(run("{\"c\":\"t\",\"t\":\"i2c\"}") == PD_FAILED && says("the bus does not work"));
    CHECK(run("{\"c\":\"t\",\"t\":\"adc\"}") == PD_PASSED && says("\"value\":1650"));
    CHECK(run("{\"c\":\"t\",\"t\":\"ram\"}") == PD_PASSED && says("\"value\":4096"));
    CHECK(run("{\"c\":\"t\",\"t\":\"flash\"}") == PD_NOT_SUPPORTED);
    CHECK(run("{\"c\":\"t\",\"t\":\"radio\",\"p\":{\"on\":true}}") == PD_PASSED && radioIsOn && connects == 0);
    CHECK(run("{\"c\":\"t\",\"t\":\"radio\",\"p\":{\"on\":false}}") == PD_PASSED && !radioIsOn);

    CHECK(run("{\"c\":\"t\",\"t\":\"connect\"}") == PD_NOT_SUPPORTED && connects == 0);
    CHECK(run("{\"c\":\"t\",\"t\":\"connect\",\"may_connect\":true}") == PD_PASSED && connects == 1);
    CHECK(run("{\"c\":\"t\",\"t\":\"publish\",\"may_connect\":true,\"p\":{\"name\":\"a\",\"data\":\"b\"}}") == PD_PASSED);
    CHECK(strcmp(publishedName, "a") == 0 && strcmp(publishedData, "b") == 0);
    CHECK(request("{\"c\":\"t\",\"t\":\"subscribe\",\"may_connect\":true,\"p\":{\"name\":\"x\"}}") == 0);
    loop();
    eventHandler("x/down", NULL);
    loop();
    CHECK(request("{\"c\":\"s\"}") == PD_PASSED && strcmp(publishedName, "x/down/echo") == 0);
    CHECK(cloudFunction("123456789") == 0x4bf43926);
    CHECK(run("{\"c\":\"t\",\"t\":\"disconnect\"}") == PD_PASSED && !isConnected);

    /* Over Serial1: the ping that a host begins with. */
    static const uint8_t PING[] = { 0, 3, 1, 1, 1, 5, 0x4e, 0xd2, 0x3a, 0x98, 0 };
    memcpy(toDevice, PING, sizeof PING);
    toDeviceSize = sizeof PING;
    loop();
    CHECK(fromDeviceSize > 8 && fromDevice[2] == PD_FRAME_PONG);

    CHECK(request("{\"c\":\"r\"}") == PD_RESET_PENDING && resets == 1);
    puts(failures == 0 ? "Particle port: ok" : "Particle port: FAILED");
    return failures != 0;
}
