// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "hwdb/result.h"

namespace probes {

/// What one request may cost at most.
struct HttpLimits {
  std::uint32_t connect_ms = 2000;
  std::uint32_t first_byte_ms = 30'000;  // no answer at all until then
  std::uint32_t stall_ms = 20'000;       // an answer that stands still
  std::uint32_t total_ms = 60'000;
  std::uint64_t body_bytes = 64ull << 20;
  std::uint64_t head_bytes = 64 * 1024;
};

struct HttpAnswer {
  int status = 0;
  std::string body;
  double sent_s = 0;  // from the call until the connection stood and the request went out
};

/// Takes the bytes of an answer as they come; false ends the transfer, which is then as if it had
/// ended by itself.
using OnHttpBytes = std::function<bool(std::string_view bytes)>;

/// A server by its address. "http://host:port" or https; a path, "/v1" or "/", is cut off. Nothing
/// is followed: no redirect, no proxy variable, no cookie, no compression, no stored password.
class HttpClient {
 public:
  /// Errors: usage.url (no http or https URL with a host; a password in it).
  static hwdb::Result<HttpClient> open(std::string_view url, const HttpLimits& limits);

  /// "http://127.0.0.1:8080".
  const std::string& base() const { return base_; }
  /// Asks for base() + `path`. Every status is an answer. Errors: endpoint.unreachable,
  /// endpoint.timeout, endpoint.limit, endpoint.protocol (not HTTP).
  hwdb::Result<HttpAnswer> get(std::string_view path) const;
  hwdb::Result<HttpAnswer> post_json(std::string_view path, const std::string& body) const;
  /// The same for an answer that comes in pieces: those of status 200 go to `on_bytes` and count
  /// against the limit, other answers are kept in `body`. Error also: run.interrupted, within a
  /// second of `cancel` being set; null: never.
  hwdb::Result<HttpAnswer> post_stream(std::string_view path, const std::string& body,
                                       const OnHttpBytes& on_bytes,
                                       const std::atomic<bool>* cancel) const;

 private:
  HttpClient() = default;
  hwdb::Result<HttpAnswer> request(std::string_view path, const std::string* body,
                                   const OnHttpBytes* on_bytes,
                                   const std::atomic<bool>* cancel) const;
  std::string base_;
  HttpLimits limits_;
};

}  // namespace probes
