// SPDX-License-Identifier: MIT
// For kernels only: accumulators must be variables of their own. g++ 12 keeps an array of them in
// memory, which halves the rate.
#pragma once

#define TOKWATT_REPEAT_8(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define TOKWATT_REPEAT_12(X) TOKWATT_REPEAT_8(X) X(8) X(9) X(10) X(11)
#define TOKWATT_REPEAT_16(X) TOKWATT_REPEAT_12(X) X(12) X(13) X(14) X(15)
#define TOKWATT_REPEAT_24(X) TOKWATT_REPEAT_16(X) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23)
