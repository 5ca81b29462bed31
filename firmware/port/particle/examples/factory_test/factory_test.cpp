/*
 * An application for the line: does what particle-dev selftest asks for, and nothing else. It never connects by itself, so
 * that no billing starts; flash the product's firmware over it afterwards. Adapt the tables to your board and fixture.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "Particle.h"
#include "SelfTest.h"

SYSTEM_MODE(MANUAL);
SYSTEM_THREAD(ENABLED);

namespace {

const pd_loopback LOOPBACKS[] = { { "D2-D3", D2, D3 }, { "D4-D5", D4, D5 } };
const pd_i2c_device I2C_DEVICES[] = { { "imu", 0, 0x68 } };
const pd_adc_channel ADC_CHANNELS[] = { { "A0", A0, "mV", 1600, 1700 } };

/* nRF52840 with Device OS 6.2: Boron, B-SoM, Tracker and others. */
const pd_slot SLOTS[] = {
    { PD_FUNCTION_BOOTLOADER, 0, 0, false, 0xf4000, 0x100000, 0xc000 },
    { PD_FUNCTION_SYSTEM_PART, 1, 0, false, 0x28000, 0xb4000, 0x8c000 },
};
/* What lies in no slot above, and modules depend on: SoftDevice S140 7.0.1. */
const pd_installed RADIO_STACK = { PD_FUNCTION_RADIO_STACK, 0, 202, 0x1000, {} };

pd_board modules() {
    pd_board board = {};
    board.platform_id = PLATFORM_ID;
    board.slots = SLOTS;
    board.slot_count = PD_COUNT(SLOTS);
    board.modules = &RADIO_STACK;
    board.module_count = 1;
    return board;
}

const pd_board MODULES = modules();
uint32_t spareRam[1024];

} // namespace

void setup() {
    Serial1.begin(115200);
    SelfTestBoard board = {};
    board.hardware = "A";
    board.firmware = "factory_test 1.0.0";
    board.loopbacks = LOOPBACKS;
    board.loopbackCount = PD_COUNT(LOOPBACKS);
    board.i2cDevices = I2C_DEVICES;
    board.i2cDeviceCount = PD_COUNT(I2C_DEVICES);
    board.hasI2c = true;
    board.adcChannels = ADC_CHANNELS;
    board.adcChannelCount = PD_COUNT(ADC_CHANNELS);
    board.ram = spareRam;
    board.ramWords = PD_COUNT(spareRam);
    board.modules = &MODULES;
    board.serial = &Serial1;
    SelfTest::instance().begin(board);
}

void loop() {
    SelfTest::instance().loop();
}

void ctrl_request_custom_handler(ctrl_request *request) {
    SelfTest::instance().process(request);
}
