// SPDX-License-Identifier: MIT
#include "probes/runtime/endpoint_requests.h"

#include <array>

#include "hwdb/json.h"

namespace probes {
namespace {

constexpr std::array<std::string_view, 64> kWords = {
    "time",    "year",    "people",   "way",    "day",    "man",     "thing",   "woman",
    "life",    "child",   "world",    "school", "state",  "family",  "student", "group",
    "country", "problem", "hand",     "part",   "place",  "case",    "week",    "company",
    "system",  "program", "question", "work",   "number", "night",   "point",   "home",
    "water",   "room",    "mother",   "area",   "money",  "story",   "fact",    "month",
    "lot",     "right",   "study",    "book",   "eye",    "job",     "word",    "business",
    "issue",   "side",    "kind",     "head",   "house",  "service", "friend",  "father",
    "power",   "hour",    "game",     "line",   "end",    "member",  "law",     "car"};

void add_openai(hwdb::JsonWriter* body, bool extra) {
  body->member("stream", true).key("stream_options").begin_object();
  body->member("include_usage", true).end_object();
  // The full length whatever the model says, and every prompt computed anew. Servers that do not
  // know the two refuse them or pass over them.
  if (extra) body->member("ignore_eos", true).member("cache_prompt", false);
}

}  // namespace

std::string_view path_of(EndpointForm form) {
  switch (form) {
    case EndpointForm::llama_server:
      return "/completion";
    case EndpointForm::ollama:
      return "/api/generate";
    case EndpointForm::lmstudio:
      return "/api/v0/completions";
    case EndpointForm::completions_extra:
    case EndpointForm::completions:
      return "/v1/completions";
    case EndpointForm::chat_extra:
    case EndpointForm::chat:
      return "/v1/chat/completions";
  }
  return {};
}

std::string request_body(EndpointForm form, std::string_view model, std::string_view prompt,
                         std::uint32_t n_gen) {
  std::string text;
  hwdb::JsonWriter body(&text);
  body.begin_object();
  if (!model.empty()) body.member("model", model);
  if (form == EndpointForm::chat || form == EndpointForm::chat_extra) {
    body.key("messages").begin_array().begin_object();
    body.member("role", "user").member("content", prompt).end_object().end_array();
  } else {
    body.member("prompt", prompt);
  }
  switch (form) {
    case EndpointForm::llama_server:
      body.member("n_predict", n_gen).member("temperature", 0).member("stream", true);
      body.member("ignore_eos", true).member("cache_prompt", false);
      break;
    case EndpointForm::ollama:
      // Nothing that would load the model anew, as another context would.
      body.member("raw", true).member("stream", true).key("options").begin_object();
      body.member("num_predict", n_gen).member("temperature", 0).end_object();
      break;
    default:
      body.member("max_tokens", n_gen).member("temperature", 0);
      if (form == EndpointForm::lmstudio) {
        body.member("stream", false);
      } else {
        add_openai(&body,
                   form == EndpointForm::completions_extra || form == EndpointForm::chat_extra);
      }
  }
  body.end_object();
  return text;
}

std::string PromptMaker::words(std::uint32_t count) {
  std::string text;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (i > 0) text += ' ';
    text += kWords[random_() % kWords.size()];
  }
  return text;
}

}  // namespace probes
