// SPDX-License-Identifier: MIT
#include "probes/runtime/live_runtime.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <map>

#include "probes/testing/fake_server.h"

namespace probes {
namespace {

using hwdb::RuntimeReport;
using testing::FakeServer;

/// Short enough for a test, long enough for a busy machine.
HttpLimits quick() {
  HttpLimits limits;
  limits.first_byte_ms = 1500;
  limits.stall_ms = 1500;
  limits.total_ms = 6000;
  limits.body_bytes = 100'000;
  return limits;
}

/// Answers by path; 404 elsewhere.
FakeServer::Answer pages(std::map<std::string, std::string> pages) {
  return [pages = std::move(pages)](const std::string& request, const std::string&,
                                    const FakeServer::Send& send) {
    const std::size_t begin = request.find(' ') + 1;
    const auto it = pages.find(request.substr(begin, request.find(' ', begin) - begin));
    send(it != pages.end() ? it->second : FakeServer::status("404 Not Found", "{}"));
  };
}

FakeServer::Answer always(std::string answer) {
  return [answer = std::move(answer)](const std::string&, const std::string&,
                                      const FakeServer::Send& send) { send(answer); };
}

std::string code_of(const FakeServer& server) {
  const auto report = read_live_runtime(server.url(), quick());
  return report ? "ok" : report.error().code;
}

TEST(LiveRuntime, LlamaServer) {
  const FakeServer server(pages({
      {"/props", FakeServer::ok(R"({"default_generation_settings":{"n_ctx":4096},"total_slots":2,
         "model_path":"/m/a.gguf","model_ftype":"Q8_0","build_info":"b1234-abcdef0",
         "is_sleeping":true})")},
      {"/v1/models", FakeServer::ok(R"({"data":[{"id":"a","meta":{"n_ctx":4096,"n_ctx_train":8192,
         "n_embd":64,"n_vocab":512,"n_params":260032,"size":1040128}}]})")},
      {"/slots", FakeServer::ok(R"([{"id":0,"n_ctx":4096},{"id":1,"n_ctx":4096}])")},
  }));
  ASSERT_TRUE(server.ready());
  const auto report = read_live_runtime(server.url() + "/v1?x=1", quick());
  ASSERT_TRUE(report) << report.error().what;
  EXPECT_EQ(report->source, RuntimeReport::Source::llama_server);
  EXPECT_EQ(report->where, server.url());
  EXPECT_EQ(report->build_number, 1234u);
  const auto& load = *report->main_load();
  EXPECT_EQ(load.path, "/m/a.gguf");
  EXPECT_EQ(load.file_type, "Q8_0");
  EXPECT_DOUBLE_EQ(load.tensor_bytes->bytes, 1040128);
  EXPECT_EQ(load.tensor_bytes->rounding_bytes, 0);
  EXPECT_EQ(load.n_ctx, 8192u);
  EXPECT_EQ(load.n_seq_max, 2u);
  EXPECT_EQ(load.n_vocab, 512u);
  EXPECT_EQ(report->notes.size(), 2u);  // it sleeps; whether the slots share is not told
  EXPECT_FALSE(report->untold.empty());
  for (const std::string& request : server.requests()) {
    EXPECT_TRUE(request.starts_with("GET ")) << request;
  }
}

TEST(LiveRuntime, SlotsMayBeClosed) {
  const FakeServer server(pages({
      {"/props",
       FakeServer::ok(R"({"default_generation_settings":{"n_ctx":512},"total_slots":1})")},
      {"/slots", FakeServer::status("501 Not Implemented", R"({"error":{}})")},
  }));
  const auto report = read_live_runtime(server.url(), quick());
  ASSERT_TRUE(report) << report.error().what;
  EXPECT_EQ(report->main_load()->n_ctx, 512u);
  EXPECT_FALSE(report->main_load()->tensor_bytes);
}

TEST(LiveRuntime, Ollama) {
  std::string asked;
  const FakeServer server(
      [&](const std::string& request, const std::string& body, const FakeServer::Send& send) {
        if (request.starts_with("GET /api/version")) {
          send(FakeServer::ok(R"({"version":"0.33.0"})"));
        } else if (request.starts_with("GET /api/ps")) {
          send(FakeServer::ok(R"({"models":[{"name":"llama3.1:8b","size":6000000000,
        "size_vram":4000000000,"context_length":8192,
        "details":{"quantization_level":"Q4_K_M"}},{"name":"b"}]})"));
        } else if (request.starts_with("POST /api/show")) {
          asked = body;
          send(FakeServer::ok(R"({"model_info":{"general.architecture":"llama",
        "general.parameter_count":8030261248,"llama.block_count":32}})"));
        } else {
          send(FakeServer::status("404 Not Found", "404 page not found"));
        }
      });
  const auto report = read_live_runtime(server.url(), quick());
  ASSERT_TRUE(report) << report.error().what;
  EXPECT_EQ(report->source, RuntimeReport::Source::ollama);
  EXPECT_EQ(report->build, "0.33.0");
  EXPECT_DOUBLE_EQ(report->total_bytes->bytes, 6e9);
  EXPECT_DOUBLE_EQ(report->gpu_bytes->bytes, 4e9);
  EXPECT_EQ(report->main_load()->name, "llama3.1:8b");
  EXPECT_EQ(report->main_load()->n_ctx, 8192u);
  EXPECT_EQ(report->main_load()->n_layers, 32u);
  EXPECT_EQ(asked, R"({"model":"llama3.1:8b"})");
  EXPECT_EQ(report->notes.size(), 1u);  // a second model is loaded
  const FakeServer idle(pages({{"/api/version", FakeServer::ok(R"({"version":"0.33.0"})")},
                               {"/api/ps", FakeServer::ok(R"({"models":[]})")}}));
  EXPECT_EQ(code_of(idle), "endpoint.no_model");
}

TEST(LiveRuntime, LmStudio) {
  const std::string old_list = FakeServer::ok(R"({"data":[{"id":"x","state":"not-loaded"},
    {"id":"m","arch":"llama","quantization":"Q4_K_M","state":"loaded","max_context_length":131072,
     "loaded_context_length":4096}]})");
  const FakeServer old_server(pages({{"/api/v0/models", old_list}}));
  auto report = read_live_runtime(old_server.url(), quick());
  ASSERT_TRUE(report) << report.error().what;
  EXPECT_EQ(report->source, RuntimeReport::Source::lmstudio);
  EXPECT_EQ(report->main_load()->name, "m");
  EXPECT_EQ(report->main_load()->n_ctx, 4096u);
  const FakeServer new_server(
      pages({{"/api/v0/models", old_list}, {"/api/v1/models", FakeServer::ok(R"({"models":[
    {"key":"y","loaded_instances":[]},{"key":"google/g","architecture":"gemma4",
     "quantization":{"name":"Q4_K_M"},"loaded_instances":[{"config":{"context_length":8192,
     "eval_batch_size":256,"parallel":4,"flash_attention":true}}]}]})")}}));
  report = read_live_runtime(new_server.url(), quick());
  ASSERT_TRUE(report) << report.error().what;
  EXPECT_EQ(report->main_load()->name, "google/g");
  EXPECT_EQ(report->main_load()->n_ubatch, 256u);
  EXPECT_EQ(report->main_load()->n_seq_max, 4u);
  EXPECT_EQ(report->main_load()->flash_attn, true);
  const FakeServer empty(pages({{"/api/v0/models", FakeServer::ok(R"({"data":[]})")}}));
  EXPECT_EQ(code_of(empty), "endpoint.no_model");
}

TEST(LiveRuntime, ChunkedAnswersAreRead) {
  const FakeServer server([](const std::string& request, const std::string&,
                             const FakeServer::Send& send) {
    if (!request.starts_with("GET /props")) {
      send(FakeServer::status("404 Not Found"));
      return;
    }
    send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    for (const std::string& part :
         {std::string(R"({"default_generation_settings":)"), std::string(R"({"n_ctx":256}})")}) {
      char size[16];
      std::snprintf(size, sizeof size, "%zx\r\n", part.size());
      send(size + part + "\r\n");
    }
    send("0\r\n\r\n");
  });
  const auto report = read_live_runtime(server.url(), quick());
  ASSERT_TRUE(report) << report.error().what;
  EXPECT_EQ(report->main_load()->n_ctx, 256u);
}

TEST(LiveRuntime, StrangeServersGetACode) {
  struct Case {
    std::string answer;
    const char* code;
  };
  const Case cases[] = {
      {FakeServer::ok("<html>hello</html>"), "endpoint.protocol"},
      {FakeServer::ok("{}"), "endpoint.protocol"},
      {FakeServer::ok("[1,2,3]"), "endpoint.protocol"},
      {FakeServer::ok(""), "endpoint.protocol"},
      {FakeServer::ok(std::string(50'000, '[')), "endpoint.protocol"},
      {FakeServer::status("503 Service Unavailable", "{\"error\":\"Loading model\"}"),
       "endpoint.status"},
      {FakeServer::status("401 Unauthorized", "{}"), "endpoint.status"},
      {"HTTP/1.1 302 Found\r\nLocation: http://198.51.100.7/\r\nContent-Length: 0\r\n"
       "Connection: close\r\n\r\n",
       "endpoint.protocol"},
      {"SSH-2.0-OpenSSH_9.2\r\n", "endpoint.protocol"},
      {"", "endpoint.protocol"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\n{\"a\":",
       "endpoint.protocol"},
      {FakeServer::ok(std::string(200'000, ' ')), "endpoint.limit"},
  };
  for (const Case& c : cases) {
    const FakeServer server(always(c.answer));
    EXPECT_EQ(code_of(server), c.code) << c.answer.substr(0, 80);
  }
}

TEST(LiveRuntime, EndlessAnswersAreCut) {
  const FakeServer body([](const std::string&, const std::string&, const FakeServer::Send& send) {
    send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    while (send(std::string(4096, '{'))) {
    }
  });
  EXPECT_EQ(code_of(body), "endpoint.limit");
  const FakeServer head([](const std::string&, const std::string&, const FakeServer::Send& send) {
    send("HTTP/1.1 200 OK\r\n");
    while (send("X-More: " + std::string(1000, 'x') + "\r\n")) {
    }
  });
  EXPECT_EQ(code_of(head), "endpoint.limit");
}

TEST(LiveRuntime, SilenceEndsInATimeOut) {
  HttpLimits limits = quick();
  limits.first_byte_ms = limits.stall_ms = 300;
  limits.total_ms = 1000;
  const FakeServer* self = nullptr;
  const FakeServer silent(
      [&](const std::string&, const std::string&, const FakeServer::Send&) { self->wait(10'000); });
  self = &silent;
  const auto begin = std::chrono::steady_clock::now();
  auto report = read_live_runtime(silent.url(), limits);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, "endpoint.timeout");
  const FakeServer* other = nullptr;
  const FakeServer dripping(
      [&](const std::string&, const std::string&, const FakeServer::Send& send) {
        send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        while (send(" ")) other->wait(20);
      });
  other = &dripping;
  report = read_live_runtime(dripping.url(), limits);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, "endpoint.timeout");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(8));
}

TEST(LiveRuntime, NobodyThereAndNoUrl) {
  std::string url;
  {
    const FakeServer gone(always(""));
    url = gone.url();
  }
  const auto report = read_live_runtime(url, quick());
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, "endpoint.unreachable");
  EXPECT_EQ(hwdb::exit_status(report.error().code), 5);
  for (const char* text : {"file:///etc/passwd", "ftp://127.0.0.1/", "http://", "://", "",
                           "http://user:secret@127.0.0.1:1", "gopher://127.0.0.1:70/"}) {
    const auto wrong = read_live_runtime(text, quick());
    ASSERT_FALSE(wrong) << text;
    EXPECT_EQ(wrong.error().code, "usage.url") << text;
  }
}

TEST(LiveRuntime, NoProxyOfTheEnvironmentIsAsked) {
  const FakeServer server(
      pages({{"/props", FakeServer::ok(R"({"default_generation_settings":{"n_ctx":64}})")}}));
  ::setenv("http_proxy", "http://127.0.0.1:1", 1);
  const auto report = read_live_runtime(server.url(), quick());
  ::unsetenv("http_proxy");
  ASSERT_TRUE(report) << report.error().what;
  EXPECT_EQ(report->main_load()->n_ctx, 64u);
}

}  // namespace
}  // namespace probes
