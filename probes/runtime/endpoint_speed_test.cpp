// SPDX-License-Identifier: MIT
#include "probes/runtime/endpoint_speed.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <functional>

#include "hwdb/json.h"
#include "probes/runtime/endpoint_reply.h"
#include "probes/runtime/endpoint_requests.h"
#include "probes/runtime/event_lines.h"
#include "probes/testing/fake_server.h"

namespace probes {
namespace {

using hwdb::SpeedReading;
using testing::FakeServer;
using Kind = SpeedReading::Test;

const std::string kStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

EndpointSpeedOptions quick() {
  EndpointSpeedOptions options;
  options.n_prompt = {40, 80};
  options.n_gen = 8;
  options.ask.first_byte_ms = options.ask.stall_ms = 1500;
  options.ask.total_ms = 4000;
  options.generate = options.ask;
  return options;
}

std::string path_of(const std::string& request) {
  const std::size_t begin = request.find(' ') + 1;
  return request.substr(begin, request.find(' ', begin) - begin);
}

/// Words in the prompt of a request.
std::uint32_t words_in(const std::string& body) {
  const auto json = hwdb::parse_json(body, "body");
  const hwdb::Json* prompt = json ? json->find("prompt") : nullptr;
  if (json && prompt == nullptr) {
    const hwdb::Json* messages = json->find("messages");
    prompt = messages != nullptr ? messages->as_array()->front().find("content") : nullptr;
  }
  const std::string* text = prompt != nullptr ? prompt->as_string() : nullptr;
  if (text == nullptr) return 0;
  return static_cast<std::uint32_t>(std::count(text->begin(), text->end(), ' ')) + 1;
}
std::uint64_t asked_tokens(const std::string& body, const char* key) {
  const auto json = hwdb::parse_json(body, "body");
  const hwdb::Json* value = json ? json->find(key) : nullptr;
  return value != nullptr ? value->as_uint64().value_or(0) : 0;
}

const std::string kProps =
    FakeServer::ok(R"({"default_generation_settings":{"n_ctx":4096},"total_slots":1,
      "model_path":"/m/a-Q8_0.gguf","model_ftype":"Q8_0","build_info":"b9-abcdef0"})");

/// What llama-server says at the end of an answer: 2 tokens a word, 2 ms each, and 5 ms a step.
std::string llama_end(std::uint32_t words, std::uint64_t n_gen) {
  const std::uint32_t prompt = 2 * words;
  return "data: {\"content\":\"\",\"stop\":true,\"tokens_evaluated\":" + std::to_string(prompt) +
         ",\"tokens_predicted\":" + std::to_string(n_gen) +
         ",\"timings\":{\"cache_n\":0,\"prompt_n\":" + std::to_string(prompt) +
         ",\"prompt_ms\":" + std::to_string(2 * prompt) +
         ",\"predicted_n\":" + std::to_string(n_gen) +
         ",\"predicted_ms\":" + std::to_string(5 * (n_gen - 1)) + "}}\n\n";
}

/// A llama-server whose answers `stream` sends.
using Stream = std::function<void(const std::string& body, const FakeServer::Send& send)>;
FakeServer::Answer llama_server(Stream stream) {
  return [stream = std::move(stream)](const std::string& request, const std::string& body,
                                      const FakeServer::Send& send) {
    const std::string path = path_of(request);
    if (path == "/props") {
      send(kProps);
    } else if (path == "/completion") {
      stream(body, send);
    } else {
      send(FakeServer::status("404 Not Found", "{}"));
    }
  };
}
void whole_answer(const std::string& body, const FakeServer::Send& send) {
  const std::uint64_t n_gen = asked_tokens(body, "n_predict");
  send(kStreamHead);
  for (std::uint64_t i = 0; i < n_gen; ++i) send("data: {\"content\":\"a\",\"stop\":false}\n\n");
  send(llama_end(words_in(body), n_gen));
}

std::string code_of(const FakeServer& server, const EndpointSpeedOptions& options = quick(),
                    const std::string& path = "") {
  const auto speed = measure_endpoint_speed(server.url() + path, options);
  return speed ? "ok" : speed.error().code;
}

TEST(EndpointSpeed, LlamaServerByItsOwnClock) {
  FakeServer server(llama_server(whole_answer));
  ASSERT_TRUE(server.ready());
  const auto speed = measure_endpoint_speed(server.url(), quick());
  ASSERT_TRUE(speed) << speed.error().what;
  EXPECT_EQ(speed->runtime, "llama.cpp");
  EXPECT_EQ(speed->build, "b9-abcdef0");
  EXPECT_EQ(speed->protocol, "llama-server");
  EXPECT_EQ(speed->n_dropped, 0u);
  ASSERT_EQ(speed->readings.size(), 4u);
  // 40 tokens asked, 2 a word by the warm-up: 20 words.
  const SpeedReading& prefill = speed->readings[0];
  EXPECT_EQ(prefill.test, Kind::prefill);
  EXPECT_EQ(prefill.source, SpeedReading::Source::endpoint);
  EXPECT_EQ(prefill.where, server.url());
  EXPECT_EQ(prefill.n_prompt, 40u);
  EXPECT_EQ(prefill.depth, 0u);
  EXPECT_EQ(prefill.model, "/m/a-Q8_0.gguf");
  EXPECT_EQ(prefill.quant, "Q8_0");
  EXPECT_EQ(prefill.device, "");
  EXPECT_DOUBLE_EQ(prefill.tok_per_s, 500);
  EXPECT_EQ(prefill.samples.size(), 3u);
  const SpeedReading& decode = speed->readings[1];
  EXPECT_EQ(decode.test, Kind::decode);
  // 8 tokens are 7 steps after the first.
  EXPECT_EQ(decode.n_gen, 7u);
  EXPECT_EQ(decode.depth, 40u);
  EXPECT_DOUBLE_EQ(decode.tok_per_s, 200);
  EXPECT_EQ(speed->readings[2].n_prompt, 80u);
}

TEST(EndpointSpeed, OutsideAndOwnClockAgreeWhereTheServerTellsTheTruth) {
  FakeServer server(llama_server([](const std::string& body, const FakeServer::Send& send) {
    // 60 ms for the prompt, then 15 ms a step.
    const std::uint64_t n_gen = asked_tokens(body, "n_predict");
    using Clock = std::chrono::steady_clock;
    const auto begin = Clock::now();
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    send(kStreamHead);
    send("data: {\"content\":\"a\",\"stop\":false}\n\n");
    const auto first = Clock::now();
    for (std::uint64_t i = 1; i < n_gen; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(15));
      send("data: {\"content\":\"a\",\"stop\":false}\n\n");
    }
    const auto ms = [](auto d) {
      return std::to_string(std::chrono::duration<double, std::milli>(d).count());
    };
    send("data: {\"stop\":true,\"tokens_evaluated\":50,\"tokens_predicted\":" +
         std::to_string(n_gen) + ",\"timings\":{\"prompt_n\":50,\"prompt_ms\":" +
         ms(first - begin) + ",\"predicted_n\":" + std::to_string(n_gen) +
         ",\"predicted_ms\":" + ms(Clock::now() - first) + "}}\n\n");
  }));
  const auto speed = measure_endpoint_speed(server.url(), quick());
  ASSERT_TRUE(speed) << speed.error().what;
  ASSERT_EQ(speed->agreements.size(), 2u);
  for (const ClockAgreement& one : speed->agreements) {
    EXPECT_TRUE(one.has_prefill && one.has_decode);
    // Loopback and a busy machine take a few milliseconds of it.
    EXPECT_NEAR(one.prefill, 0, 0.2);
    EXPECT_NEAR(one.decode, 0, 0.2);
  }
}

TEST(EndpointSpeed, WhatIsAskedOfALlamaServer) {
  std::string body;
  FakeServer server(llama_server([&](const std::string& text, const FakeServer::Send& send) {
    EXPECT_NE(text, body) << "a prompt came twice";
    body = text;
    whole_answer(text, send);
  }));
  ASSERT_TRUE(measure_endpoint_speed(server.url(), quick()));
  const auto json = hwdb::parse_json(body, "body");
  ASSERT_TRUE(json);
  EXPECT_EQ(json->find("cache_prompt")->as_bool(), false);
  EXPECT_EQ(json->find("ignore_eos")->as_bool(), true);
  EXPECT_EQ(json->find("stream")->as_bool(), true);
  EXPECT_EQ(json->find("n_predict")->as_uint64(), 8u);
  EXPECT_EQ(json->find("temperature")->as_uint64(), 0u);
}

TEST(EndpointSpeed, PromptsAreShortenedToTheContext) {
  FakeServer server(llama_server(whole_answer));
  EndpointSpeedOptions options = quick();
  options.n_prompt = {100, 100'000, 200'000};
  const auto speed = measure_endpoint_speed(server.url(), options);
  ASSERT_TRUE(speed) << speed.error().what;
  ASSERT_EQ(speed->readings.size(), 4u);
  EXPECT_LE(speed->readings[2].n_prompt + 8, 4096u);
  EXPECT_GT(speed->readings[2].n_prompt, 3500u);
  EXPECT_NE(speed->notes[0].find("does not fit 4096 tokens"), std::string::npos);
}

TEST(EndpointSpeed, OllamaByItsDurations) {
  FakeServer server(
      [](const std::string& request, const std::string& body, const FakeServer::Send& send) {
        const std::string path = path_of(request);
        if (path == "/api/version") return void(send(FakeServer::ok(R"({"version":"0.33.0"})")));
        if (path == "/api/ps") {
          return void(send(FakeServer::ok(R"({"models":[{"name":"a:8b","size":1000,
        "context_length":4096,"details":{"quantization_level":"Q4_K_M"}}]})")));
        }
        if (path == "/api/show") return void(send(FakeServer::ok("{}")));
        if (path != "/api/generate") return void(send(FakeServer::status("404 Not Found", "{}")));
        EXPECT_NE(body.find("\"model\":\"a:8b\""), std::string::npos);
        EXPECT_EQ(body.find("num_ctx"), std::string::npos) << "that would load it anew";
        send(kStreamHead);
        for (int i = 0; i < 8; ++i) send("{\"response\":\"a\",\"done\":false}\r\n");
        // 4 ms a token of the prompt, 7 steps of 10 ms.
        const std::uint32_t n = words_in(body);
        send("{\"response\":\"\",\"done\":true,\"prompt_eval_count\":" + std::to_string(n) +
             ",\"prompt_eval_duration\":" + std::to_string(4'000'000ull * n) +
             ",\"eval_count\":8,\"eval_duration\":70000000}\n");
      });
  const auto speed = measure_endpoint_speed(server.url(), quick());
  ASSERT_TRUE(speed) << speed.error().what;
  EXPECT_EQ(speed->runtime, "ollama");
  EXPECT_EQ(speed->protocol, "ollama");
  ASSERT_EQ(speed->readings.size(), 4u);
  EXPECT_EQ(speed->readings[0].model, "a:8b");
  EXPECT_EQ(speed->readings[0].quant, "Q4_K_M");
  EXPECT_DOUBLE_EQ(speed->readings[0].tok_per_s, 250);
  EXPECT_DOUBLE_EQ(speed->readings[1].tok_per_s, 100);
}

TEST(EndpointSpeed, LmStudioByItsStatistics) {
  FakeServer server(
      [](const std::string& request, const std::string& body, const FakeServer::Send& send) {
        const std::string path = path_of(request);
        if (path == "/api/v0/models") {
          return void(send(FakeServer::ok(R"({"data":[{"id":"a","state":"loaded","arch":"llama",
        "quantization":"Q4_K_M","loaded_context_length":4096}]})")));
        }
        if (path != "/api/v0/completions")
          return void(send(FakeServer::status("404 Not Found", "{}")));
        const std::string n = std::to_string(words_in(body));
        send(
            FakeServer::ok("{\n \"choices\":[{\"text\":\"abc\",\"finish_reason\":\"length\"}],\n"
                           "\"usage\":{\"prompt_tokens\":" +
                           n +
                           ",\"completion_tokens\":9},\n"
                           "\"stats\":{\"tokens_per_second\":60.0,\"time_to_first_token\":0.5,"
                           "\"generation_time\":0.15}}"));
      });
  const auto speed = measure_endpoint_speed(server.url(), quick());
  ASSERT_TRUE(speed) << speed.error().what;
  EXPECT_EQ(speed->runtime, "lmstudio");
  ASSERT_EQ(speed->readings.size(), 4u);
  EXPECT_DOUBLE_EQ(speed->readings[0].tok_per_s, 80);
  EXPECT_DOUBLE_EQ(speed->readings[1].tok_per_s, 60);
  EXPECT_EQ(speed->readings[1].n_gen, 9u);
  EXPECT_TRUE(speed->agreements.empty());
}

/// Any server that streams as OpenAI does; `extra` says whether it takes what is not in that API.
FakeServer::Answer openai(bool extra, bool completions, bool usage) {
  return [=](const std::string& request, const std::string& body, const FakeServer::Send& send) {
    const std::string path = path_of(request);
    if (path == "/v1/models") {
      return void(send(FakeServer::ok(R"({"data":[{"id":"m","owned_by":"vllm"}]})")));
    }
    const bool chat = path == "/v1/chat/completions";
    if (!(chat || (completions && path == "/v1/completions"))) {
      return void(send(FakeServer::status("404 Not Found", "{}")));
    }
    if (!extra && body.find("ignore_eos") != std::string::npos) {
      return void(send(FakeServer::status("400 Bad Request", "{\"error\":\"unknown field\"}")));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(40));
    send(kStreamHead + ": comment\n\n");
    if (chat) send("data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\n");
    for (int i = 0; i < 8; ++i) {
      if (i > 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
      send(chat ? "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n"
                : "data: {\"choices\":[{\"text\":\"a\"}]}\r\n\r\n");
    }
    send("data: {\"choices\":[{\"delta\":{},\"text\":\"\",\"finish_reason\":\"length\"}]}\n\n");
    if (usage) {
      send("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":" + std::to_string(words_in(body)) +
           ",\"completion_tokens\":8}}\n\n");
    }
    send("data: [DONE]\n\n");
  };
}

TEST(EndpointSpeed, AnyStreamIsMeasuredFromOutside) {
  for (const bool extra : {true, false}) {
    for (const bool completions : {true, false}) {
      FakeServer server(openai(extra, completions, true));
      const auto speed = measure_endpoint_speed(server.url(), quick());
      ASSERT_TRUE(speed) << speed.error().what;
      EXPECT_EQ(speed->runtime, "vllm");
      EXPECT_EQ(speed->model, "m");
      EXPECT_EQ(speed->protocol, "stream");
      ASSERT_EQ(speed->readings.size(), 4u);
      EXPECT_EQ(speed->readings[0].n_prompt, 40u);
      // 40 tokens in 40 ms and a little, 7 steps of 10 ms and a little.
      EXPECT_LT(speed->readings[0].tok_per_s, 1050);
      EXPECT_GT(speed->readings[0].tok_per_s, 500);
      EXPECT_EQ(speed->readings[1].n_gen, 7u);
      EXPECT_LT(speed->readings[1].tok_per_s, 102);
      EXPECT_GT(speed->readings[1].tok_per_s, 50);
      EXPECT_TRUE(speed->agreements.empty());
    }
  }
}

TEST(EndpointSpeed, WithoutUsageThePiecesAreCountedAndItIsSaid) {
  FakeServer server(openai(true, true, false));
  const auto speed = measure_endpoint_speed(server.url(), quick());
  ASSERT_TRUE(speed) << speed.error().what;
  ASSERT_EQ(speed->readings.size(), 2u);
  EXPECT_EQ(speed->readings[0].test, Kind::decode);
  EXPECT_EQ(speed->readings[0].n_gen, 7u);
  std::string notes;
  for (const std::string& note : speed->notes) notes += note;
  EXPECT_NE(notes.find("pieces of text stand for them"), std::string::npos) << notes;
  EXPECT_NE(notes.find("no speed of the prompt"), std::string::npos) << notes;
}

TEST(EndpointSpeed, AnAddressThatEndsOnV1AsksForTheStream) {
  const auto completions = openai(true, true, true);
  const auto native = llama_server(whole_answer);
  FakeServer server(
      [&](const std::string& request, const std::string& body, const FakeServer::Send& send) {
        const bool stream = path_of(request) == "/v1/completions";
        (stream ? completions : native)(request, body, send);
      });
  const auto speed = measure_endpoint_speed(server.url() + "/v1", quick());
  ASSERT_TRUE(speed) << speed.error().what;
  EXPECT_EQ(speed->protocol, "stream");
  EXPECT_EQ(speed->runtime, "llama.cpp");
}

TEST(EndpointSpeed, AnswersThatBreakOffAreLeftOut) {
  std::atomic<int> n = 0;
  FakeServer server(llama_server([&](const std::string& body, const FakeServer::Send& send) {
    // Every third of those that count: warm-ups are the first two.
    if (const int i = ++n; i > 2 && i % 3 == 0) {
      send(kStreamHead + "data: {\"content\":\"a\",\"stop\":false}\n\ndata: {\"cont");
      return;
    }
    whole_answer(body, send);
  }));
  const auto speed = measure_endpoint_speed(server.url(), quick());
  ASSERT_TRUE(speed) << speed.error().what;
  EXPECT_EQ(speed->n_dropped, 2u);
  for (const SpeedReading& reading : speed->readings) {
    EXPECT_DOUBLE_EQ(reading.tok_per_s, reading.test == Kind::prefill ? 500 : 200);
    EXPECT_LT(reading.samples.size(), 4u);
  }
  EXPECT_NE(speed->notes.back().find("2 answers did not come whole"), std::string::npos);
}

TEST(EndpointSpeed, TimesThatCannotBeAreNotDividedBy) {
  FakeServer server(llama_server([](const std::string&, const FakeServer::Send& send) {
    send(kStreamHead);
    for (int i = 0; i < 8; ++i) send("data: {\"content\":\"a\",\"stop\":false}\n\n");
    send(
        "data: {\"stop\":true,\"timings\":{\"prompt_n\":0,\"prompt_ms\":0,\"predicted_n\":8,"
        "\"predicted_ms\":-5,\"predicted_per_second\":1e999}}\n\n");
  }));
  // Neither clock tells a speed of the prompt; the answer comes at once on ours.
  const auto speed = measure_endpoint_speed(server.url(), quick());
  if (speed) {
    for (const SpeedReading& reading : speed->readings) {
      EXPECT_TRUE(std::isfinite(reading.tok_per_s));
      EXPECT_GT(reading.tok_per_s, 0);
    }
    EXPECT_TRUE(speed->agreements.empty());
  } else {
    EXPECT_EQ(speed.error().code, "endpoint.protocol");
  }
}

TEST(EndpointSpeed, ServersThatDoNotAnswerAsTheyShould) {
  using Send = FakeServer::Send;
  const auto code = [](Stream stream) {
    return code_of(FakeServer(llama_server(std::move(stream))));
  };
  // Refused, with an error text that is escaped and cut.
  EXPECT_EQ(code([](const std::string&, const Send& send) {
              send(FakeServer::status("500 Internal Server Error", std::string(5000, '\x1b')));
            }),
            "endpoint.status");
  EXPECT_EQ(code([](const std::string&, const Send& send) {
              send(FakeServer::status("503 Service Unavailable", "loading"));
            }),
            "endpoint.status");
  // An error in the middle of a stream.
  EXPECT_EQ(code([](const std::string&, const Send& send) {
              send(kStreamHead + "data: {\"error\":{\"message\":\"out of memory\"}}\n\n");
            }),
            "endpoint.protocol");
  // HTML with status 200, an empty answer, a line without end, a stream that stands still.
  EXPECT_EQ(code([](const std::string&, const Send& send) { send(FakeServer::ok("<html>")); }),
            "endpoint.protocol");
  EXPECT_EQ(code([](const std::string&, const Send& send) { send(kStreamHead); }),
            "endpoint.protocol");
  EXPECT_EQ(code([](const std::string&, const Send& send) {
              send(kStreamHead);
              const std::string part(64 * 1024, 'a');
              for (int i = 0; i < 40 && send(part); ++i) {
              }
            }),
            "endpoint.protocol");
  EXPECT_EQ(code([](const std::string&, const Send& send) { send("SSH-2.0\r\n"); }),
            "endpoint.protocol");
}

TEST(EndpointSpeed, Silence) {
  EndpointSpeedOptions options = quick();
  options.generate.first_byte_ms = options.generate.stall_ms = 300;
  FakeServer* running = nullptr;
  FakeServer server(llama_server([&](const std::string&, const FakeServer::Send& send) {
    send(kStreamHead + "data: {\"content\":\"a\",\"stop\":false}\n\n");
    running->wait(2500);
  }));
  running = &server;
  EXPECT_EQ(code_of(server, options), "endpoint.timeout");
  EXPECT_EQ(measure_endpoint_speed("http://127.0.0.1:1", quick()).error().code,
            "endpoint.unreachable");
  EXPECT_EQ(measure_endpoint_speed("ftp://127.0.0.1", quick()).error().code, "usage.url");
}

TEST(EndpointSpeed, AnEndlessStreamIsCutOff) {
  EndpointSpeedOptions options = quick();
  options.generate.body_bytes = 100'000;
  FakeServer server(llama_server([](const std::string&, const FakeServer::Send& send) {
    send(kStreamHead);
    while (send("data: {\"content\":\"a\",\"stop\":false}\n\n")) {
    }
  }));
  EXPECT_EQ(code_of(server, options), "endpoint.limit");
}

TEST(EndpointSpeed, NobodyThere) {
  FakeServer web([](const std::string&, const std::string&, const FakeServer::Send& send) {
    send(FakeServer::ok("<html></html>"));
  });
  EXPECT_EQ(code_of(web), "endpoint.protocol");
  FakeServer empty(
      [](const std::string& request, const std::string&, const FakeServer::Send& send) {
        const bool models = path_of(request) == "/v1/models";
        send(models ? FakeServer::ok(R"({"data":[]})") : FakeServer::status("404 Not Found", "{}"));
      });
  EXPECT_EQ(code_of(empty), "endpoint.no_model");
}

TEST(EndpointSpeed, CtrlCKeepsWhatIsDone) {
  std::atomic<bool> cancel = false;
  std::atomic<int> n = 0;
  FakeServer* running = nullptr;
  FakeServer server(llama_server([&](const std::string& body, const FakeServer::Send& send) {
    if (++n == 5) {
      cancel = true;
      running->wait(3000);
      return;
    }
    whole_answer(body, send);
  }));
  running = &server;
  EndpointSpeedOptions options = quick();
  options.cancel = &cancel;
  const auto speed = measure_endpoint_speed(server.url(), options);
  ASSERT_TRUE(speed) << speed.error().what;
  EXPECT_TRUE(speed->interrupted);
  EXPECT_EQ(speed->n_dropped, 0u);
  ASSERT_EQ(speed->readings.size(), 4u);
  EXPECT_EQ(speed->readings[0].samples.size(), 1u);
  // Nothing is done yet.
  FakeServer other(llama_server(whole_answer));
  EXPECT_EQ(code_of(other, options), "run.interrupted");
}

TEST(EndpointReply, SpeculativeAnswersAreMarked) {
  EndpointReply reply;
  reply.add_event(R"({"content":"","stop":true,"timings":{"prompt_n":5,"prompt_ms":10,
    "predicted_n":9,"predicted_ms":20,"draft_n":6,"draft_n_accepted":3}})",
                  1);
  EXPECT_TRUE(reply.whole());
  EXPECT_TRUE(reply.own().speculative);
  EXPECT_EQ(reply.own().steps, 8u);
}

TEST(EndpointReply, ThoughtIsTextAndARoleIsNone) {
  EndpointReply reply;
  reply.add_event(R"({"choices":[{"delta":{"role":"assistant","content":""}}]})", 1);
  EXPECT_EQ(reply.pieces(), 0u);
  reply.add_event(R"({"choices":[{"delta":{"reasoning_content":"a"}}]})", 2);
  reply.add_event(R"({"choices":[{"delta":{"content":"b"}}]})", 3);
  EXPECT_EQ(reply.pieces(), 2u);
  EXPECT_DOUBLE_EQ(reply.first_s(), 2);
  EXPECT_DOUBLE_EQ(reply.last_s(), 3);
  EXPECT_FALSE(reply.whole());
  reply.add_event("[DONE]", 4);
  EXPECT_TRUE(reply.whole());
  reply.add_event("{", 5);
  EXPECT_FALSE(reply.whole());
}

TEST(EventLines, AnyCutGivesTheSameEvents) {
  const std::string text =
      ": ping\r\ndata: {\"a\":1}\r\n\r\nevent: x\ndata: {\"b\":\ndata: 2}\n\n{\"c\":3}\n"
      "data:[DONE]\n\ndata: {\"cut\"";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    std::vector<std::string> events;
    EventLines lines([&](std::string_view data) { events.emplace_back(data); });
    EXPECT_TRUE(lines.feed(std::string_view(text).substr(0, cut)));
    EXPECT_TRUE(lines.feed(std::string_view(text).substr(cut)));
    EXPECT_EQ(events,
              (std::vector<std::string>{"{\"a\":1}", "{\"b\":\n2}", "{\"c\":3}", "[DONE]"}));
  }
}

TEST(EventLines, LongLinesAndEventsEndIt) {
  const auto fed = [](std::size_t line, std::size_t times) {
    EventLines lines([](std::string_view) {});
    bool ok = true;
    for (std::size_t i = 0; i < times; ++i)
      ok = lines.feed("data: " + std::string(line, 'a') + "\n");
    return ok;
  };
  EXPECT_TRUE(fed(EventLines::kMaxLine - 6, 1));
  EXPECT_FALSE(fed(EventLines::kMaxLine - 5, 1));
  EXPECT_TRUE(fed(1000, 1000));
  EXPECT_FALSE(fed(1000, 2000));
}

}  // namespace
}  // namespace probes
