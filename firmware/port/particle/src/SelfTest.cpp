/* Source for the API: device-os v6.2.0 wiring/inc, system/inc/system_control.h. SPDX-License-Identifier: Apache-2.0 */
#include "SelfTest.h"

namespace {

const int ADC_FULL_SCALE_MV = 3300;
const int ADC_MAX = 4095;
const unsigned RESET_AFTER_MS = 1000; /* the host has the reply by then */

const pd_test TESTS[] = { PD_TESTS_OFFLINE, PD_TESTS_ONLINE };

/* The build passes the name without quotes. */
#define QUOTED(name) #name
#define QUOTED_VALUE(name) QUOTED(name)
#ifdef PLATFORM_NAME
#define PLATFORM_TEXT QUOTED_VALUE(PLATFORM_NAME)
#else
#define PLATFORM_TEXT nullptr
#endif

bool copyText(char *out, size_t size, const char *text) {
    if (text == nullptr || text[0] == '\0') {
        return false;
    }
    strncpy(out, text, size - 1);
    out[size - 1] = '\0';
    return true;
}

} // namespace

SelfTest &SelfTest::instance() {
    static SelfTest selfTest;
    return selfTest;
}

void SelfTest::begin(const SelfTestBoard &board) {
    board_ = board;
    ramRegion_ = { "ram", board.ramWords };
    hardware_ = {};
    hardware_.context = this;
    hardware_.uptime_ms = uptime;
    hardware_.identity = identity;
    hardware_.counter = counter;
    hardware_.board = board.modules;
    hardware_.program_read = programRead;
    hardware_.loopbacks = board.loopbacks;
    hardware_.loopback_count = board.loopbackCount;
    hardware_.gpio_mode = gpioMode;
    hardware_.gpio_write = gpioWrite;
    hardware_.gpio_read = gpioRead;
    if (board.hasI2c) {
        Wire.begin();
        hardware_.i2c_devices = board.i2cDevices;
        hardware_.i2c_device_count = board.i2cDeviceCount;
        hardware_.i2c_bus_count = 1;
        hardware_.i2c_probe = i2cProbe;
    }
    hardware_.adc_channels = board.adcChannels;
    hardware_.adc_channel_count = board.adcChannelCount;
    hardware_.adc_read = adcRead;
    if (board.ram != nullptr) {
        hardware_.ram_regions = &ramRegion_;
        hardware_.ram_region_count = 1;
        hardware_.ram_read = ramRead;
        hardware_.ram_write = ramWrite;
    }
#if Wiring_Cellular || Wiring_WiFi
    hardware_.radio_set = radioSet;
    hardware_.radio_state = radioState;
#endif
    hardware_.cloud_set = cloudSet;
    hardware_.cloud_is_connected = cloudIsConnected;
    hardware_.publish = publish;
    hardware_.publish_progress = publishProgress;
    hardware_.subscribe = subscribe;
    pd_selftest_init(&service_, &hardware_, TESTS, PD_COUNT(TESTS));
    pd_serial_init(&serial_, &service_, writeSerial, this);
#if Wiring_Cellular || Wiring_WiFi
    if (radioState(this) != PD_RADIO_OFF) {
        radioSet(this, false);
    }
#endif
}

void SelfTest::loop() {
    uint8_t bytes[64];
    size_t count = 0;

    while (board_.serial != nullptr && count < sizeof bytes && board_.serial->available() > 0) {
        bytes[count++] = (uint8_t)board_.serial->read();
    }
    if (pd_serial_receive(&serial_, bytes, count)) {
        board_.serial->flush();
        System.reset();
    }
    pd_selftest_poll(&service_);
}

void SelfTest::process(ctrl_request *request) {
    size_t size = 0;

    int result = system_ctrl_alloc_reply_data(request, PD_REPLY_MAX, nullptr);
    if (result == 0) {
        result = pd_selftest_request(&service_, request->request_data, request->request_size, request->reply_data,
                                     request->reply_size, &size);
        system_ctrl_alloc_reply_data(request, size, nullptr); /* as realloc(): keeps what is there */
    }
    system_ctrl_set_result(request, result, result == PD_RESET_PENDING ? resetNow : nullptr, nullptr, nullptr);
}

void SelfTest::resetNow(int, void *) {
    delay(RESET_AFTER_MS);
    System.reset();
}

void SelfTest::writeSerial(void *context, const uint8_t *data, size_t size) {
    Stream *const serial = static_cast<SelfTest *>(context)->board_.serial;
    serial->write(data, size);
}

/* ---- hardware --------------------------------------------------------------------------------------------------- */

uint32_t SelfTest::uptime(void *) {
    return millis();
}

bool SelfTest::identity(void *context, pd_identity_item item, char *out, size_t size) {
    const SelfTestBoard &board = static_cast<SelfTest *>(context)->board_;
    switch (item) {
    case PD_IDENTITY_PLATFORM:
        return copyText(out, size, PLATFORM_TEXT);
    case PD_IDENTITY_DEVICE_ID:
        return copyText(out, size, System.deviceID().c_str());
    case PD_IDENTITY_DEVICE_OS:
        return copyText(out, size, System.version().c_str());
    case PD_IDENTITY_HARDWARE:
        return copyText(out, size, board.hardware);
    case PD_IDENTITY_FIRMWARE:
        return copyText(out, size, board.firmware);
    default:
        return false; /* the serial number: control request 21 */
    }
}

bool SelfTest::counter(void *, pd_counter which, int32_t *out) {
    using particle::AbstractIntegerDiagnosticData;
    switch (which) {
    case PD_COUNTER_CLOUD_ATTEMPTS:
        return AbstractIntegerDiagnosticData::get(DIAG_ID_CLOUD_CONNECTION_ATTEMPTS, *out) == 0;
    case PD_COUNTER_CLOUD_DISCONNECTS:
        return AbstractIntegerDiagnosticData::get(DIAG_ID_CLOUD_DISCONNECTS, *out) == 0;
    case PD_COUNTER_RESET_REASON:
        *out = System.resetReason();
        return true;
    case PD_COUNTER_FREE_MEMORY:
        *out = (int32_t)System.freeMemory();
        return true;
    default:
        return false;
    }
}

bool SelfTest::programRead(void *, uint32_t address, uint8_t *out, size_t size) {
    memcpy(out, reinterpret_cast<const void *>(static_cast<uintptr_t>(address)), size);
    return true;
}

bool SelfTest::gpioMode(void *, int pin, pd_gpio_mode mode) {
    static const PinMode MODES[] = { INPUT, OUTPUT, INPUT_PULLUP, INPUT_PULLDOWN };
    pinMode((uint16_t)pin, MODES[mode]);
    return true;
}

bool SelfTest::gpioWrite(void *, int pin, bool level) {
    digitalWrite((uint16_t)pin, level ? HIGH : LOW);
    return true;
}

int SelfTest::gpioRead(void *, int pin) {
    delayMicroseconds(10); /* what a pull takes to charge a wire */
    return digitalRead((uint16_t)pin) == HIGH;
}

int SelfTest::i2cProbe(void *, int, uint8_t address) {
    Wire.beginTransmission(address);
    const uint8_t status = Wire.endTransmission();
    /* 3: nobody acknowledges the address (STM32F2); nRF52840 has no word for that, and says 7, "other error". The rest
     * is a bus that is busy, or without pull-ups. Source: hal/inc/i2c_hal.h, hal/src/nRF52840/i2c_hal.cpp. */
    return status == 0 ? 1 : status == 3 || status == 7 ? 0 : -(int)status;
}

bool SelfTest::adcRead(void *, int channel, int32_t *out) {
    *out = analogRead((uint16_t)channel) * ADC_FULL_SCALE_MV / ADC_MAX;
    return true;
}

uint32_t SelfTest::ramRead(void *context, size_t, uint32_t index) {
    const volatile uint32_t *const ram = static_cast<SelfTest *>(context)->board_.ram;
    return ram[index];
}

void SelfTest::ramWrite(void *context, size_t, uint32_t index, uint32_t word) {
    volatile uint32_t *const ram = static_cast<SelfTest *>(context)->board_.ram;
    ram[index] = word;
}

/* ---- radio and cloud -------------------------------------------------------------------------------------------- */

#if Wiring_Cellular
#define RADIO Cellular
#elif Wiring_WiFi
#define RADIO WiFi
#endif

#ifdef RADIO
/* Powers the modem; attaching to a network takes connect(). */
bool SelfTest::radioSet(void *, bool on) {
    if (on) {
        RADIO.on();
    } else {
        RADIO.off();
    }
    return true;
}

pd_radio_state SelfTest::radioState(void *) {
    return RADIO.isOn() ? PD_RADIO_ON : RADIO.isOff() ? PD_RADIO_OFF : PD_RADIO_CHANGING;
}
#endif

bool SelfTest::cloudSet(void *context, bool connect) {
    SelfTest &self = *static_cast<SelfTest *>(context);
    if (!connect) {
        Particle.disconnect();
        return true;
    }
    if (!self.hasFunction_) {
        self.hasFunction_ = Particle.function("selftest", onFunction);
    }
    Particle.connect();
    return true;
}

bool SelfTest::cloudIsConnected(void *) {
    return Particle.connected();
}

bool SelfTest::publish(void *context, const char *name, const char *data) {
    static_cast<SelfTest *>(context)->published_ = Particle.publish(name, data, WITH_ACK);
    return true;
}

pd_progress SelfTest::publishProgress(void *context) {
    const particle::Future<bool> &published = static_cast<SelfTest *>(context)->published_;
    return !published.isDone() ? PD_PENDING : published.isSucceeded() ? PD_DONE : PD_FAILURE;
}

bool SelfTest::subscribe(void *, const char *prefix) {
    return Particle.subscribe(prefix, onEvent);
}

void SelfTest::onEvent(const char *name, const char *data) {
    pd_selftest_event(&instance().service_, name, data != nullptr ? data : "");
}

int SelfTest::onFunction(String argument) {
    return pd_selftest_function(&instance().service_, argument.c_str());
}
