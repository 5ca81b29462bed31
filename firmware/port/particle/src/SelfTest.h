/*
 * The self-test service as part of a Device OS application. SPDX-License-Identifier: Apache-2.0
 *
 *   SYSTEM_MODE(MANUAL);                       // nothing connects by itself
 *   void setup() { SelfTest::instance().begin(BOARD); }
 *   void loop() { SelfTest::instance().loop(); }
 *   void ctrl_request_custom_handler(ctrl_request *request) { SelfTest::instance().process(request); }
 *
 * Requests, tests, and what they need of the board's table: pd_selftest.h.
 */
#pragma once

#include "Particle.h"
#include "pd_selftest.h"

/* What is on your board. What is left out is answered "not supported". */
struct SelfTestBoard {
    const char *hardware;              /* its revision, or NULL */
    const char *firmware;              /* version of this application, or NULL */
    const pd_loopback *loopbacks;      /* pins that the fixture joins */
    size_t loopbackCount;
    const pd_i2c_device *i2cDevices;   /* on Wire: bus 0 */
    size_t i2cDeviceCount;
    bool hasI2c;
    const pd_adc_channel *adcChannels; /* channel: pin; in mV at the pin */
    size_t adcChannelCount;
    uint32_t *ram;                     /* may be overwritten */
    uint32_t ramWords;
    const pd_board *modules;           /* slots of this platform and release */
    Stream *serial;                    /* begun; a serial line that takes requests, too, or NULL: USB only */
};

class SelfTest {
public:
    static SelfTest &instance();

    /* From setup(). Switches the radio off. The tables must outlive the application. */
    void begin(const SelfTestBoard &board);

    /* From loop(), often: a test advances by one short step in each call. */
    void loop();

    /* From ctrl_request_custom_handler(). Answers every request; Device OS calls it in the application's thread. */
    void process(ctrl_request *request);

    /* To add your own functions, flash for example, after begin(). */
    pd_hardware &hardware() { return hardware_; }

private:
    SelfTest() = default;

    static uint32_t uptime(void *context);
    static bool identity(void *context, pd_identity_item item, char *out, size_t size);
    static bool counter(void *context, pd_counter which, int32_t *out);
    static bool programRead(void *context, uint32_t address, uint8_t *out, size_t size);
    static bool gpioMode(void *context, int pin, pd_gpio_mode mode);
    static bool gpioWrite(void *context, int pin, bool level);
    static int gpioRead(void *context, int pin);
    static int i2cProbe(void *context, int bus, uint8_t address);
    static bool adcRead(void *context, int channel, int32_t *out);
    static uint32_t ramRead(void *context, size_t region, uint32_t index);
    static void ramWrite(void *context, size_t region, uint32_t index, uint32_t word);
    static bool radioSet(void *context, bool on);
    static pd_radio_state radioState(void *context);
    static bool cloudSet(void *context, bool connect);
    static bool cloudIsConnected(void *context);
    static bool publish(void *context, const char *name, const char *data);
    static pd_progress publishProgress(void *context);
    static bool subscribe(void *context, const char *prefix);
    static void onEvent(const char *name, const char *data);
    static int onFunction(String argument);
    static void writeSerial(void *context, const uint8_t *data, size_t size);
    static void resetNow(int result, void *data);

    SelfTestBoard board_ = {};
    pd_hardware hardware_ = {};
    pd_ram_region ramRegion_ = {};
    pd_selftest service_ = {};
    pd_serial serial_ = {};
    particle::Future<bool> published_;
    bool hasFunction_ = false;
};
