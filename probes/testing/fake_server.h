// SPDX-License-Identifier: MIT
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace probes::testing {

/// An HTTP server on loopback that says what the test wants, one connection at a time: whole
/// answers, parts of them, or nothing.
class FakeServer {
 public:
  /// Sends text to the client; false once nobody listens or the server stops.
  using Send = std::function<bool(const std::string& text)>;
  /// Called with the request's first line ("GET /props HTTP/1.1") and its body.
  using Answer =
      std::function<void(const std::string& request, const std::string& body, const Send& send)>;

  explicit FakeServer(Answer answer) : answer_(std::move(answer)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* raw = reinterpret_cast<struct sockaddr*>(&address);
    socklen_t size = sizeof address;
    ready_ = listener_ >= 0 && ::bind(listener_, raw, size) == 0 && ::listen(listener_, 8) == 0 &&
             ::getsockname(listener_, raw, &size) == 0;
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeServer() {
    stop_ = true;
    thread_.join();
    ::close(listener_);
  }
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  bool ready() const { return ready_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  /// First lines of all requests so far.
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  /// Until the server is stopped or `ms` are over.
  void wait(int ms) const {
    for (int i = 0; i < ms && !stop_; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  static std::string ok(const std::string& body) {
    return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
           "Content-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  static std::string status(const std::string& line, const std::string& body = "") {
    return "HTTP/1.1 " + line +
           "\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           body;
  }

 private:
  void serve() {
    while (!stop_ && ready_) {
      struct pollfd waiting {
        listener_, POLLIN, 0
      };
      if (::poll(&waiting, 1, 20) <= 0) continue;
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      std::string text;
      while (!stop_ && !complete(text)) {
        struct pollfd readable {
          fd, POLLIN, 0
        };
        if (::poll(&readable, 1, 20) <= 0) continue;
        char buffer[4096];
        const ssize_t n = ::read(fd, buffer, sizeof buffer);
        if (n <= 0) break;
        text.append(buffer, static_cast<std::size_t>(n));
      }
      const std::string line = text.substr(0, text.find("\r\n"));
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(line);
      }
      const std::size_t end = text.find("\r\n\r\n");
      answer_(line, end == std::string::npos ? "" : text.substr(end + 4),
              [&](const std::string& part) {
                return !stop_ && ::send(fd, part.data(), part.size(), MSG_NOSIGNAL) ==
                                     static_cast<ssize_t>(part.size());
              });
      ::close(fd);
    }
  }

  /// The head, and as much body as it announces.
  static bool complete(const std::string& text) {
    const std::size_t end = text.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    const std::size_t at = text.find("Content-Length: ");
    const std::size_t body = at < end ? std::stoul(text.substr(at + 16)) : 0;
    return text.size() >= end + 4 + body;
  }

  Answer answer_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  bool ready_ = false;
  std::atomic<bool> stop_ = false;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

}  // namespace probes::testing
