// SPDX-License-Identifier: MIT
#pragma once

/// Before a loop of constant length over an array that must live in registers.
#if defined(__clang__)
#define TOKWATT_UNROLL _Pragma("clang loop unroll(full)")
#else
#define TOKWATT_UNROLL _Pragma("GCC unroll 16")
#endif
