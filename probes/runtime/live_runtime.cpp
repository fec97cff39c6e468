// SPDX-License-Identifier: MIT
#include "probes/runtime/live_runtime.h"

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>

#include "hwdb/json.h"
#include "hwdb/limits.h"
#include "hwdb/text_escape.h"
#include "probes/runtime/log_text.h"

namespace probes {
namespace {

using hwdb::Error;
using hwdb::Json;
using hwdb::Result;
using hwdb::RuntimeLoad;
using hwdb::RuntimeReport;
using hwdb::ToldBytes;

constexpr std::size_t kShownText = 200;

std::optional<std::uint64_t> count_at(const Json& json, std::string_view key) {
  const Json* value = json.find(key);
  return value != nullptr ? value->as_uint64() : std::nullopt;
}

std::string text_at(const Json& json, std::string_view key) {
  const Json* value = json.find(key);
  const std::string* text = value != nullptr ? value->as_string() : nullptr;
  return text != nullptr ? text->substr(0, 4096) : std::string();
}

/// A size to the byte; none for nonsense.
std::optional<ToldBytes> bytes_at(const Json& json, std::string_view key) {
  const auto bytes = count_at(json, key);
  if (!bytes || *bytes == 0 || *bytes > (1ull << 60)) return std::nullopt;
  return ToldBytes{static_cast<double>(*bytes), 0};
}

class Server {
 public:
  explicit Server(HttpClient client) : client_(std::move(client)) {}

  const std::string& base() const { return client_.base(); }
  Error error(std::string_view code, std::string what, std::string hint = {}) const {
    return {std::string(code), std::move(what), hwdb::escape_text(base()), std::move(hint)};
  }

  /// The document at `path`; null where the server has nothing there: another status than 200, or
  /// no JSON. Errors are of the connection, or say that the server is not ready or not open to us.
  Result<Json> find(std::string_view path, const std::string* body = nullptr) {
    const auto answer = body != nullptr ? client_.post_json(path, *body) : client_.get(path);
    if (!answer) return answer.error();
    if (answer->status == 401 || answer->status == 403) {
      return error("endpoint.status",
                   fmt::format("{} answers {}: it wants a key", path, answer->status));
    }
    if (answer->status == 503) {
      return error(
          "endpoint.status",
          fmt::format("{} answers 503: {}", path, hwdb::escape_text(answer->body, kShownText)),
          "wait until the model is loaded");
    }
    if (answer->status >= 300 && answer->status < 400) {
      return error("endpoint.protocol",
                   fmt::format("{} answers {}: redirects are not followed", path, answer->status));
    }
    if (answer->status != 200) return Json();
    auto json = hwdb::parse_json(answer->body, base(), answer->body.size() + 1);
    return json ? std::move(*json) : Json();
  }

 private:
  HttpClient client_;
};

/// llama-server: /props says what is loaded, /v1/models its size.
Result<RuntimeReport> read_llama_server(Server* server, const Json& props) {
  RuntimeReport report;
  report.source = RuntimeReport::Source::llama_server;
  report.runtime = "llama.cpp";
  report.build = text_at(props, "build_info");
  // "b1234-0caf2a1"
  if (report.build.starts_with('b')) {
    std::string_view rest = std::string_view(report.build).substr(1);
    report.build_number = take_count(&rest);
  }
  RuntimeLoad& load = report.loads.emplace_back();
  load.path = text_at(props, "model_path");
  load.file_type = text_at(props, "model_ftype");
  report.n_slots = count_at(props, "total_slots");
  if (const Json* settings = props.find("default_generation_settings")) {
    report.n_ctx_slot = count_at(*settings, "n_ctx");
  }
  auto models = server->find("/v1/models");
  if (!models) return models.error();
  const Json* data = models->find("data");
  const Json::Array* list = data != nullptr ? data->as_array() : nullptr;
  if (list != nullptr && !list->empty()) {
    if (const Json* meta = list->front().find("meta")) {
      load.tensor_bytes = bytes_at(*meta, "size");
      load.n_ctx = count_at(*meta, "n_ctx");
      load.n_ctx_train = count_at(*meta, "n_ctx_train");
      load.n_embd = count_at(*meta, "n_embd");
      load.n_vocab = count_at(*meta, "n_vocab");
      if (const auto params = count_at(*meta, "n_params")) {
        load.n_params = static_cast<double>(*params);
      }
      if (load.file_type.empty()) load.file_type = text_at(*meta, "ftype");
    }
    load.name = text_at(list->front(), "id");
  }
  auto slots = server->find("/slots");
  if (!slots) return slots.error();
  if (const Json::Array* each = slots->as_array(); each != nullptr && !each->empty()) {
    report.n_slots = each->size();
    if (const auto n_ctx = count_at(each->front(), "n_ctx")) report.n_ctx_slot = n_ctx;
  }
  if (const Json* asleep = props.find("is_sleeping");
      asleep != nullptr && asleep->as_bool().value_or(false)) {
    report.notes.emplace_back("The server sleeps: its model is not in memory now.");
  }
  // /v1/models and /props tell the context of a slot, never that of the pool; without more the
  // slots' parts together are the most that can be in it.
  if (report.n_ctx_slot) {
    load.n_seq_max = report.n_slots;
    load.n_ctx = *report.n_ctx_slot * report.n_slots.value_or(1);
    if (report.n_slots.value_or(1) > 1) {
      report.notes.push_back(fmt::format(
          "{} slots of {} tokens each: whether they share one pool of cells is not told.",
          *report.n_slots, *report.n_ctx_slot));
    }
  }
  report.untold = {"memory by device", "cache", "compute buffers", "micro-batch",
                   "layers on the GPU"};
  return report;
}

/// Ollama: /api/ps says what is loaded and how much it takes, /api/show what it is.
Result<RuntimeReport> read_ollama(Server* server, const Json& version) {
  RuntimeReport report;
  report.source = RuntimeReport::Source::ollama;
  report.runtime = "Ollama";
  report.build = text_at(version, "version");
  auto running = server->find("/api/ps");
  if (!running) return running.error();
  const Json* models = running->find("models");
  const Json::Array* list = models != nullptr ? models->as_array() : nullptr;
  if (list == nullptr) return server->error("endpoint.protocol", "/api/ps is not Ollama's");
  if (list->empty()) {
    return server->error("endpoint.no_model", "Ollama has no model loaded",
                         "send it a prompt first, then ask again");
  }
  const Json& model = list->front();
  RuntimeLoad& load = report.loads.emplace_back();
  load.name = text_at(model, "name");
  report.total_bytes = bytes_at(model, "size");
  report.gpu_bytes = bytes_at(model, "size_vram");
  load.n_ctx = count_at(model, "context_length");
  if (const Json* details = model.find("details")) {
    load.file_type = text_at(*details, "quantization_level");
  }
  if (list->size() > 1) {
    report.notes.push_back(
        fmt::format("{} models are loaded; the first is looked at.", list->size()));
  }
  std::string body;
  hwdb::JsonWriter(&body).begin_object().member("model", std::string_view(load.name)).end_object();
  auto shown = server->find("/api/show", &body);
  if (!shown) return shown.error();
  if (const Json* info = shown->find("model_info")) {
    load.architecture = text_at(*info, "general.architecture");
    if (const auto params = count_at(*info, "general.parameter_count")) {
      load.n_params = static_cast<double>(*params);
    }
    load.n_layers = count_at(*info, load.architecture + ".block_count");
    load.n_ctx_train = count_at(*info, load.architecture + ".context_length");
    load.n_embd = count_at(*info, load.architecture + ".embedding_length");
  }
  report.untold = {"weights, cache and buffers apart", "number of sequences", "micro-batch",
                   "cache types", "layers on the GPU"};
  if (!load.n_ctx) report.untold.emplace_back("context size");
  return report;
}

/// LM Studio: its newer list has the settings of what is loaded, the older one only names it.
Result<RuntimeReport> read_lmstudio(Server* server, const Json& old_list) {
  RuntimeReport report;
  report.source = RuntimeReport::Source::lmstudio;
  report.runtime = "LM Studio";
  report.untold = {"memory of any kind", "layers on the GPU", "cache types"};
  auto newer = server->find("/api/v1/models");
  if (!newer) return newer.error();
  const Json* models = newer->find("models");
  if (const Json::Array* list = models != nullptr ? models->as_array() : nullptr) {
    for (const Json& model : *list) {
      const Json* instances = model.find("loaded_instances");
      const Json::Array* loaded = instances != nullptr ? instances->as_array() : nullptr;
      if (loaded == nullptr || loaded->empty()) continue;
      RuntimeLoad& load = report.loads.emplace_back();
      load.name = text_at(model, "key");
      load.architecture = text_at(model, "architecture");
      if (const Json* quant = model.find("quantization")) load.file_type = text_at(*quant, "name");
      if (const Json* config = loaded->front().find("config")) {
        load.n_ctx = count_at(*config, "context_length");
        load.n_ubatch = count_at(*config, "eval_batch_size");
        load.n_seq_max = count_at(*config, "parallel");
        if (const Json* flash = config->find("flash_attention")) load.flash_attn = flash->as_bool();
      }
      return report;
    }
  }
  const Json* data = old_list.find("data");
  if (const Json::Array* list = data != nullptr ? data->as_array() : nullptr) {
    for (const Json& model : *list) {
      if (text_at(model, "state") != "loaded") continue;
      RuntimeLoad& load = report.loads.emplace_back();
      load.name = text_at(model, "id");
      load.architecture = text_at(model, "arch");
      load.file_type = text_at(model, "quantization");
      load.n_ctx = count_at(model, "loaded_context_length");
      load.n_ctx_train = count_at(model, "max_context_length");
      return report;
    }
  }
  return server->error("endpoint.no_model", "LM Studio has no model loaded", "load one first");
}

}  // namespace

Result<RuntimeReport> read_live_runtime(std::string_view url, const HttpLimits& limits) {
  auto client = HttpClient::open(url, limits);
  if (!client) return client.error();
  Server server(std::move(*client));
  const auto finish = [&](Result<RuntimeReport> report) {
    if (report) report->where = server.base();
    return report;
  };
  // By what is in the answers: other servers say 200 to everything.
  auto props = server.find("/props");
  if (!props) return props.error();
  if (props->find("default_generation_settings") != nullptr) {
    return finish(read_llama_server(&server, *props));
  }
  auto version = server.find("/api/version");
  if (!version) return version.error();
  if (!text_at(*version, "version").empty()) return finish(read_ollama(&server, *version));
  auto models = server.find("/api/v0/models");
  if (!models) return models.error();
  if (const Json* data = models->find("data"); data != nullptr && data->is_array()) {
    return finish(read_lmstudio(&server, *models));
  }
  return server.error("endpoint.protocol",
                      "neither llama-server nor Ollama nor LM Studio answers there");
}

}  // namespace probes
