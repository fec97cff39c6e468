// SPDX-License-Identifier: MIT
#pragma once

#include <cassert>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace hwdb {

/// An expected failure: `code` is stable ("gguf.truncated", its first part decides the exit
/// status), `what` says what was found and what would be right, `where` names file, key, device or
/// line, `hint` is one line of advice or empty.
struct Error {
  std::string code;
  std::string what;
  std::string where;
  std::string hint;
};

/// Either a value or an Error. The names are a subset of std::expected's, so that the later change
/// is one alias.
template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result(T value) : state_(std::move(value)) {}
  Result(Error error) : state_(std::move(error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& operator*() & {
    assert(has_value());
    return *std::get_if<0>(&state_);
  }
  const T& operator*() const& {
    assert(has_value());
    return *std::get_if<0>(&state_);
  }
  T&& operator*() && {
    assert(has_value());
    return std::move(*std::get_if<0>(&state_));
  }
  T* operator->() { return &**this; }
  const T* operator->() const { return &**this; }
  const Error& error() const {
    assert(!has_value());
    return *std::get_if<1>(&state_);
  }

  /// Calls `f(value)`, which returns a Result, or passes the error on.
  template <class F>
  auto and_then(F&& f) && -> std::invoke_result_t<F, T&&> {
    if (!has_value()) return error();
    return std::forward<F>(f)(std::move(**this));
  }
  T value_or(T other) const { return has_value() ? **this : std::move(other); }

 private:
  std::variant<T, Error> state_;
};

/// For functions that return nothing but may fail: `return Ok{};`.
struct Ok {};
using Status = Result<Ok>;

/// The process exit status of an error code: by its first part, as in the table of exit codes (3
/// input file, 2 usage, ...).
int exit_status(std::string_view code);

}  // namespace hwdb
