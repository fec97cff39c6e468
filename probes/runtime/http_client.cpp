// SPDX-License-Identifier: MIT
// The libcurl room.
#include "probes/runtime/http_client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "hwdb/text_escape.h"

namespace probes {
namespace {

using Clock = std::chrono::steady_clock;
using hwdb::Error;

/// What the callbacks of one request share.
struct Transfer {
  const HttpLimits* limits = nullptr;
  std::string body;
  std::uint64_t head = 0, streamed = 0;
  bool over_limit = false, silent = false, enough = false, cancelled = false;
  CURL* curl = nullptr;
  const OnHttpBytes* on_bytes = nullptr;      // of a streamed answer
  const std::atomic<bool>* cancel = nullptr;  // null: never
  Clock::time_point last;                     // when anything came
};

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* user) {
  auto* transfer = static_cast<Transfer*>(user);
  const std::size_t bytes = size * count;
  transfer->last = Clock::now();
  const std::uint64_t before = transfer->streamed + transfer->body.size();
  if (bytes > transfer->limits->body_bytes - before) {
    transfer->over_limit = true;
    return 0;
  }
  long status = 0;
  if (transfer->on_bytes != nullptr)
    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
  if (status == 200) {
    transfer->streamed += bytes;
    transfer->enough = !(*transfer->on_bytes)({data, bytes});
    return transfer->enough ? 0 : bytes;
  }
  transfer->body.append(data, bytes);
  return bytes;
}

std::size_t on_head(char*, std::size_t size, std::size_t count, void* user) {
  auto* transfer = static_cast<Transfer*>(user);
  transfer->last = Clock::now();
  transfer->head += size * count;
  if (transfer->head > transfer->limits->head_bytes) {
    transfer->over_limit = true;
    return 0;
  }
  return size * count;
}

/// Called about once a second, and more often while bytes come.
int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto* transfer = static_cast<Transfer*>(user);
  transfer->cancelled = transfer->cancel != nullptr && *transfer->cancel;
  if (transfer->cancelled) return 1;
  const bool answered = transfer->head > 0;
  const std::chrono::milliseconds allowed(answered ? transfer->limits->stall_ms
                                                   : transfer->limits->first_byte_ms);
  transfer->silent = Clock::now() - transfer->last > allowed;
  return transfer->silent ? 1 : 0;
}

struct CurlLibrary {
  CurlLibrary() { ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK; }
  bool ready = false;
};

using Handle = std::unique_ptr<CURL, decltype(&curl_easy_cleanup)>;
using Headers = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

std::string part_of(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

Error failure(CURLcode code, const Transfer& transfer, const std::string& base) {
  const std::string where = hwdb::escape_text(base);
  if (transfer.cancelled)
    return {"run.interrupted", "interrupted before the answer ended", where, {}};
  if (transfer.over_limit) {
    return {"endpoint.limit", "the answer is larger than any that is expected", where, {}};
  }
  if (code == CURLE_OPERATION_TIMEDOUT || transfer.silent) {
    return {"endpoint.timeout",
            transfer.head > 0 ? "the answer did not end in time" : "no answer in time", where,
            "is it still loading the model?"};
  }
  if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST) {
    return {"endpoint.unreachable", curl_easy_strerror(code), where,
            "is the server running, and on that port?"};
  }
  return {"endpoint.protocol", curl_easy_strerror(code), where, {}};
}

}  // namespace

hwdb::Result<HttpClient> HttpClient::open(std::string_view url, const HttpLimits& limits) {
  const auto bad = [&](std::string what) {
    return Error{"usage.url", std::move(what), hwdb::escape_text(url),
                 "write it as http://127.0.0.1:8080"};
  };
  constexpr std::size_t kMaxUrl = 2048;
  if (url.size() > kMaxUrl) return bad("too long for a server's address");
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed(curl_url(), &curl_url_cleanup);
  if (!parsed ||
      curl_url_set(parsed.get(), CURLUPART_URL, std::string(url).c_str(), 0) != CURLUE_OK) {
    return bad("no URL");
  }
  const std::string scheme = part_of(parsed.get(), CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") return bad("only http and https are asked");
  const std::string host = part_of(parsed.get(), CURLUPART_HOST);
  if (host.empty()) return bad("no host");
  if (!part_of(parsed.get(), CURLUPART_USER).empty() ||
      !part_of(parsed.get(), CURLUPART_PASSWORD).empty()) {
    return bad("names and passwords do not belong into a URL");
  }
  const std::string port = part_of(parsed.get(), CURLUPART_PORT);
  HttpClient client;
  client.limits_ = limits;
  client.base_ = fmt::format("{}://{}{}{}", scheme, host, port.empty() ? "" : ":", port);
  return client;
}

hwdb::Result<HttpAnswer> HttpClient::get(std::string_view path) const {
  return request(path, nullptr, nullptr, nullptr);
}

hwdb::Result<HttpAnswer> HttpClient::post_json(std::string_view path,
                                               const std::string& body) const {
  return request(path, &body, nullptr, nullptr);
}

hwdb::Result<HttpAnswer> HttpClient::post_stream(std::string_view path, const std::string& body,
                                                 const OnHttpBytes& on_bytes,
                                                 const std::atomic<bool>* cancel) const {
  return request(path, &body, &on_bytes, cancel);
}

hwdb::Result<HttpAnswer> HttpClient::request(std::string_view path, const std::string* body,
                                             const OnHttpBytes* on_bytes,
                                             const std::atomic<bool>* cancel) const {
  static const CurlLibrary library;
  const Handle curl(library.ready ? curl_easy_init() : nullptr, &curl_easy_cleanup);
  if (!curl) return Error{"endpoint.unreachable", "libcurl does not start", base_, {}};
  const std::string url = base_ + std::string(path);
  Transfer transfer;
  transfer.limits = &limits_;
  transfer.curl = curl.get();
  transfer.on_bytes = on_bytes;
  transfer.cancel = cancel;
  transfer.last = Clock::now();
  const auto set = [&](CURLoption option, auto value) {
    curl_easy_setopt(curl.get(), option, value);
  };
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_PROXY, "");  // empty: not even the one of the environment
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_USERAGENT, "tokwatt");
  set(CURLOPT_HTTP09_ALLOWED, 0L);
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(limits_.connect_ms));
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(limits_.total_ms));
  set(CURLOPT_WRITEFUNCTION, &on_body);
  set(CURLOPT_WRITEDATA, &transfer);
  set(CURLOPT_HEADERFUNCTION, &on_head);
  set(CURLOPT_HEADERDATA, &transfer);
  set(CURLOPT_XFERINFOFUNCTION, &on_progress);
  set(CURLOPT_XFERINFODATA, &transfer);
  set(CURLOPT_NOPROGRESS, 0L);
  Headers headers(nullptr, &curl_slist_free_all);
  if (body != nullptr) {
    headers.reset(curl_slist_append(nullptr, "Content-Type: application/json"));
    // Long bodies would wait for a "100 Continue" first, which would be counted as the model's
    // time.
    curl_slist_append(headers.get(), "Expect:");
    set(CURLOPT_HTTPHEADER, headers.get());
    set(CURLOPT_POSTFIELDSIZE, static_cast<long>(body->size()));
    set(CURLOPT_POSTFIELDS, body->c_str());
  }
  const CURLcode code = curl_easy_perform(curl.get());
  if (code != CURLE_OK && !transfer.enough) return failure(code, transfer, base_);
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  curl_off_t sent_us = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_PRETRANSFER_TIME_T, &sent_us);
  return HttpAnswer{static_cast<int>(status), std::move(transfer.body),
                    static_cast<double>(sent_us) / 1e6};
}

}  // namespace probes
