// SPDX-License-Identifier: MIT
#pragma once

/// For the parts of a hot loop: clang would call those with assembly instead.
#define TOKWATT_INLINE inline __attribute__((always_inline))

/// For a hot loop as a whole, so that it is found under its name in the built library.
#define TOKWATT_APART __attribute__((noinline))

/// Before a loop of constant length over an array that must live in registers.
#if defined(__clang__)
#define TOKWATT_UNROLL _Pragma("clang loop unroll(full)")
#else
#define TOKWATT_UNROLL _Pragma("GCC unroll 16")
#endif
