/*
 * As much of Device OS's application interface as the Particle port uses, written from device-os v6.2.0 wiring/inc,
 * system/inc and hal/inc by hand. That the port compiles and runs against it proves the port's own logic, and that it
 * agrees with this reading of the interface; it does not prove that Device OS behaves so. SPDX-License-Identifier: Apache-2.0
 */
#ifndef PARTICLE_H
#define PARTICLE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PLATFORM_ID 13
#define PLATFORM_NAME boron
#define Wiring_Cellular 1
#define Wiring_WiFi 0

/* ---- system/inc/system_mode.h, system_control.h ------------------------------------------------------------------- */

enum System_Mode_TypeDef { DEFAULT = 0, AUTOMATIC = 1, SEMI_AUTOMATIC = 2, MANUAL = 3, SAFE_MODE = 4 };
enum Feature { DISABLED, ENABLED };
extern System_Mode_TypeDef stubSystemMode;
extern Feature stubSystemThread;
struct StubMode {
    explicit StubMode(System_Mode_TypeDef mode) { stubSystemMode = mode; }
};
struct StubThread {
    explicit StubThread(Feature feature) { stubSystemThread = feature; }
};
#define SYSTEM_MODE(mode) static StubMode stubModeSetter(mode)
#define SYSTEM_THREAD(feature) static StubThread stubThreadSetter(feature)

extern "C" {
typedef struct ctrl_request {
    uint16_t size;
    uint16_t type;
    char *request_data;
    size_t request_size;
    char *reply_data;
    size_t reply_size;
    void *channel;
} ctrl_request;
typedef void (*ctrl_completion_handler_fn)(int result, void *data);
int system_ctrl_alloc_reply_data(ctrl_request *req, size_t size, void *reserved);
void system_ctrl_set_result(ctrl_request *req, int result, ctrl_completion_handler_fn handler, void *data,
                            void *reserved);
}
/* wiring/inc/spark_wiring_system.h: a weak C++ function that applications replace */
void ctrl_request_custom_handler(ctrl_request *req);
void setup();
void loop();

/* ---- wiring ------------------------------------------------------------------------------------------------------- */

class String {
public:
    String(const char *text = "") {
        strncpy(text_, text, sizeof text_ - 1);
        text_[sizeof text_ - 1] = '\0';
    }
    const char *c_str() const { return text_; }

private:
    char text_[128];
};

enum PinMode { INPUT, OUTPUT, INPUT_PULLUP, INPUT_PULLDOWN };
enum { LOW = 0, HIGH = 1 };
enum { D2 = 2, D3 = 3, D4 = 4, D5 = 5, A0 = 19 };
void pinMode(uint16_t pin, PinMode mode);
void digitalWrite(uint16_t pin, uint8_t value);
int32_t digitalRead(uint16_t pin);
int32_t analogRead(uint16_t pin);
uint32_t millis();
void delay(unsigned ms);
void delayMicroseconds(unsigned us);

class Stream {
public:
    virtual int available() { return 0; }
    virtual int read() { return -1; }
    virtual void flush() {}
    virtual size_t write(const uint8_t *, size_t size) { return size; }
};
class USARTSerial : public Stream {
public:
    void begin(unsigned long baud);
    int available() override;
    int read() override;
    void flush() override;
    size_t write(const uint8_t *data, size_t size) override;
};
extern USARTSerial Serial1;

class TwoWire {
public:
    void begin();
    void beginTransmission(uint8_t address);
    uint8_t endTransmission();
};
extern TwoWire Wire;

struct SystemClass {
    String deviceID();
    String version();
    uint32_t freeMemory();
    int resetReason();
    void reset();
};
extern SystemClass System;

struct CellularClass {
    void on();
    void off();
    bool isOn();
    bool isOff();
};
extern CellularClass Cellular;

namespace particle {
typedef uint16_t DiagnosticDataId;
struct AbstractIntegerDiagnosticData {
    static int get(DiagnosticDataId id, int32_t &value);
};
template <typename T> class Future {
public:
    bool isDone() const { return state_ != 0; }
    bool isSucceeded() const { return state_ == 1; }
    int state_ = 0;
};
} // namespace particle
enum { DIAG_ID_CLOUD_DISCONNECTS = 14, DIAG_ID_CLOUD_CONNECTION_ATTEMPTS = 29 };

struct PublishFlags {};
static const PublishFlags WITH_ACK;
typedef void (*EventHandler)(const char *name, const char *data);
struct CloudClass {
    void connect();
    void disconnect();
    bool connected();
    particle::Future<bool> publish(const char *name, const char *data, PublishFlags flags);
    bool subscribe(const char *name, EventHandler handler);
    bool function(const char *name, int (*function)(String));
};
extern CloudClass Particle;

#endif
