// SPDX-License-Identifier: MIT
#include "probes/measure/measure_message.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <utility>

namespace probes {
namespace {

using hwdb::Json;

constexpr std::size_t kMaxText = 4096, kMaxItems = 64, kMaxMessages = 1000;
constexpr double kMaxSeconds = 86400;

hwdb::Error bad_message(std::string what) {
  return {"probe.message", std::move(what), "the measuring child process", ""};
}

/// Reads members; `good` turns false at the first that is missing or out of range.
class Fields {
 public:
  explicit Fields(const Json& json) : json_(json), good_(json.is_object()) {}
  bool good() const { return good_; }

  std::string text(std::string_view key) {
    const Json* j = json_.find(key);
    const std::string* s = j != nullptr ? j->as_string() : nullptr;
    good_ = good_ && s != nullptr && s->size() <= kMaxText;
    return good_ ? *s : std::string();
  }
  double number(std::string_view key, double max) {
    const Json* j = json_.find(key);
    const auto n = j != nullptr ? j->as_double() : std::nullopt;
    // Written so that NaN fails too.
    good_ = good_ && n && *n >= 0 && *n <= max;
    return good_ ? *n : 0;
  }
  bool flag(std::string_view key) {
    const Json* j = json_.find(key);
    const auto b = j != nullptr ? j->as_bool() : std::nullopt;
    good_ = good_ && b.has_value();
    return b.value_or(false);
  }
  std::vector<std::string> texts(std::string_view key, std::size_t max) {
    std::vector<std::string> out;
    const Json* j = json_.find(key);
    const Json::Array* list = j != nullptr ? j->as_array() : nullptr;
    good_ = good_ && list != nullptr && list->size() <= max;
    if (!good_) return out;
    for (const Json& item : *list) {
      good_ = good_ && item.as_string() != nullptr && item.as_string()->size() <= kMaxText;
      if (good_) out.push_back(*item.as_string());
    }
    return out;
  }

 private:
  const Json& json_;
  bool good_;
};

Json texts_json(const std::vector<std::string>& texts) {
  Json::Array list;
  // A validation message may be long; its beginning says what it is.
  for (const std::string& text : texts) list.emplace_back(text.substr(0, kMaxText));
  return Json(std::move(list));
}

bool write_line(int fd, const MeasureEvent& event) {
  const std::string line = write_measure_event(event) + "\n";
  std::string_view left = line;
  while (!left.empty()) {
    const ssize_t n = ::write(fd, left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    left.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

std::string read_stdin() {
  std::string text;
  std::array<char, 4096> buffer;
  while (text.size() <= buffer.size()) {
    const ssize_t n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
  return text;
}

}  // namespace

std::string write_measure_request(const GpuMeasureOptions& o) {
  return hwdb::write_json(
      Json(Json::Object{{"pci_address", Json(o.device.pci_address)},
                        {"uuid", Json(o.device.uuid)},
                        {"pci_id", Json(o.device.pci_id)},
                        {"allow_software", Json(o.device.allow_software)},
                        {"validate", Json(o.device.validate)},
                        {"budget_s", Json(o.budget_seconds)},
                        {"run_s", Json(o.run_seconds)},
                        {"sustained_s", Json(o.sustained_seconds)},
                        {"memory_share", Json(o.memory_share)},
                        {"max_buffer_bytes", Json(static_cast<double>(o.max_buffer_bytes))},
                        {"only", texts_json(o.only)}}));
}

hwdb::Result<GpuMeasureOptions> read_measure_request(std::string_view text) {
  const auto json = hwdb::parse_json(text, "request");
  if (!json) return bad_message("the request is no JSON: " + json.error().what);
  Fields f(*json);
  GpuMeasureOptions o;
  o.device.pci_address = f.text("pci_address");
  o.device.uuid = f.text("uuid");
  o.device.pci_id = f.text("pci_id");
  o.device.allow_software = f.flag("allow_software");
  o.device.validate = f.flag("validate");
  o.budget_seconds = f.number("budget_s", kMaxSeconds);
  o.run_seconds = f.number("run_s", 1);
  o.sustained_seconds = f.number("sustained_s", kMaxSeconds);
  o.memory_share = f.number("memory_share", 1);
  o.max_buffer_bytes = static_cast<std::uint64_t>(f.number("max_buffer_bytes", 0x1p50));
  o.only = f.texts("only", kMaxItems);
  if (!f.good()) return bad_message("the request does not say what to measure");
  return o;
}

std::string write_measure_event(const MeasureEvent& event) {
  Json::Object out;
  if (event.progress) {
    out.emplace_back("progress", Json(Json::Object{{"step", Json(event.progress->step)},
                                                   {"fraction", Json(event.progress->fraction)},
                                                   {"eta_s", Json(event.progress->eta_seconds)}}));
  } else if (event.reading) {
    out.emplace_back("reading", hwdb::reading_to_json(*event.reading));
  } else if (event.error) {
    out.emplace_back("error", Json(Json::Object{{"code", Json(event.error->code)},
                                                {"what", Json(event.error->what)},
                                                {"hint", Json(event.error->hint)}}));
  } else {
    out.emplace_back(
        "done", Json(Json::Object{{"validation_messages", texts_json(event.validation_messages)}}));
  }
  return hwdb::write_json(Json(std::move(out)));
}

hwdb::Result<MeasureEvent> read_measure_event(std::string_view line) {
  const auto json = hwdb::parse_json(line, "message");
  if (!json) return bad_message("a line of its message is no JSON: " + json.error().what);
  MeasureEvent event;
  bool good = false;
  if (const Json* progress = json->find("progress")) {
    Fields f(*progress);
    event.progress = {f.text("step"), f.number("fraction", 1), f.number("eta_s", kMaxSeconds)};
    good = f.good();
  } else if (const Json* reading = json->find("reading")) {
    auto read = hwdb::reading_from_json(*reading, "message");
    if (!read) return bad_message("a reading: " + read.error().where + ": " + read.error().what);
    event.reading = *std::move(read);
    good = true;
  } else if (const Json* error = json->find("error")) {
    Fields f(*error);
    event.error = hwdb::Error{f.text("code"), f.text("what"), "", f.text("hint")};
    good = f.good() && event.error->code.starts_with("probe.");
  } else if (const Json* done = json->find("done")) {
    Fields f(*done);
    event.done = true;
    event.validation_messages = f.texts("validation_messages", kMaxMessages);
    good = f.good();
  }
  if (!good) return bad_message("a line of its message does not say what was asked");
  return event;
}

int run_measure_child(int message_fd) {
  bool heard = true;
  const auto tell = [&](MeasureEvent event) { heard = heard && write_line(message_fd, event); };
  const auto fail = [&](const hwdb::Error& error) {
    MeasureEvent event;
    event.error = error;
    tell(std::move(event));
    return heard ? 0 : 1;
  };
  const auto options = read_measure_request(read_stdin());
  if (!options) return fail(options.error());
  MeasureHooks hooks;
  hooks.progress = [&](const MeasureProgress& progress) {
    MeasureEvent event;
    event.progress = progress;
    tell(std::move(event));
  };
  hooks.finished = [&](const Reading& reading) {
    MeasureEvent event;
    event.reading = reading;
    tell(std::move(event));
  };
  const auto measured = measure_gpu_here(*options, hooks);
  if (!measured) return fail(measured.error());
  MeasureEvent done;
  done.done = true;
  done.validation_messages = measured->validation_messages;
  tell(std::move(done));
  return heard ? 0 : 1;
}

}  // namespace probes
