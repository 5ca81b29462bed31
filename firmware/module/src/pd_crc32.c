/* SPDX-License-Identifier: Apache-2.0 */
#include "pd_module.h"

#ifdef PD_CRC32_TABLE_DRIVEN

/* The CRC is linear: that of a byte is the sum of those of its bits. */
#define BIT(n, bit, crc) (((n) & (bit)) != 0 ? (crc) : 0u)
#define CRC(n)                                                                                        \
    (BIT(n, 1, 0x77073096u) ^ BIT(n, 2, 0xEE0E612Cu) ^ BIT(n, 4, 0x076DC419u) ^ BIT(n, 8, 0x0EDB8832u) ^ \
     BIT(n, 16, 0x1DB71064u) ^ BIT(n, 32, 0x3B6E20C8u) ^ BIT(n, 64, 0x76DC4190u) ^ BIT(n, 128, 0xEDB88320u))
#define CRC4(n) CRC(n), CRC((n) + 1), CRC((n) + 2), CRC((n) + 3)
#define CRC16(n) CRC4(n), CRC4((n) + 4), CRC4((n) + 8), CRC4((n) + 12)
#define CRC64(n) CRC16(n), CRC16((n) + 16), CRC16((n) + 32), CRC16((n) + 48)

static const uint32_t BYTE_CRC[256] = { CRC64(0), CRC64(64), CRC64(128), CRC64(192) };

uint32_t pd_crc32_update(uint32_t crc, const uint8_t *data, size_t size)
{
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc = BYTE_CRC[(crc ^ data[i]) & 0xffu] ^ (crc >> 8);
    }
    return ~crc;
}

#else

static const uint32_t NIBBLE_CRC[16] = {
    0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
    0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
};

uint32_t pd_crc32_update(uint32_t crc, const uint8_t *data, size_t size)
{
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        crc = NIBBLE_CRC[crc & 15u] ^ (crc >> 4);
        crc = NIBBLE_CRC[crc & 15u] ^ (crc >> 4);
    }
    return ~crc;
}

#endif
