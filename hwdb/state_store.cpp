// SPDX-License-Identifier: MIT
#include "hwdb/state_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <thread>

namespace hwdb {
namespace {

constexpr std::string_view kSchema = "1.0";
constexpr int kSchemaMajor = 1;
constexpr std::size_t kMaxDocumentBytes = std::size_t{16} << 20;
constexpr std::size_t kKeptCorrupt = 3;
constexpr std::time_t kStaleTempSeconds = 24 * 3600;
constexpr std::string_view kSuffix = ".json";
constexpr std::string_view kLockName = ".lock";
constexpr std::string_view kTempPrefix = ".tmp-";
// The checksum is the last member and covers every byte before it.
constexpr std::string_view kChecksumKey = ",\"checksum\":\"";

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { close(); }
  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  /// false when the system reports an error it had kept until now.
  bool close() {
    const int fd = std::exchange(fd_, -1);
    return fd < 0 || ::close(fd) == 0;
  }

 private:
  int fd_;
};

Error io_error(std::string_view code, std::string_view doing, const std::string& path, int number) {
  return {std::string(code), fmt::format("{}: {}", doing, std::strerror(number)), path, ""};
}

/// FNV-1a: guards against damage, not against intent.
std::string checksum(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3u;
  }
  return fmt::format("{:016x}", hash);
}

bool valid_name(std::string_view name) {
  if (name.empty() || name.size() > 64 || name.front() == '.' || name.front() == '-') return false;
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

Error invalid_name(std::string_view name) {
  return {"name.invalid", fmt::format("\"{}\" cannot be the name of a saved document", name), "",
          "use letters, digits, '-', '_' and '.', at most 64, not starting with '.' or '-'"};
}

/// Makes the folder and those above it, 0700 where new.
Status make_folder(const std::string& path) {
  if (path.empty()) return Error{"state.folder", "no folder is known for saved files", "", ""};
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST && errno != EISDIR)
      return io_error("state.folder", "cannot make the folder", part, errno);
    if (end == std::string::npos) return Ok{};
  }
}

std::string timestamp(std::time_t t, const char* format) {
  std::tm parts{};
  ::gmtime_r(&t, &parts);
  std::array<char, 32> text{};
  return std::string(text.data(), std::strftime(text.data(), text.size(), format, &parts));
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

std::vector<std::string> entries_of(const std::string& folder, int* error) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), ::closedir);
  *error = dir == nullptr ? errno : 0;
  if (dir == nullptr) return names;
  while (const dirent* entry = ::readdir(dir.get())) names.emplace_back(entry->d_name);
  std::ranges::sort(names);
  return names;
}

/// Held while a document is read, changed and written. The file stays; its content is the holder's
/// pid.
class Lock {
 public:
  static Result<std::unique_ptr<Lock>> take(const std::string& folder, double timeout_seconds,
                                            const std::function<void(const std::string&)>& notice) {
    const std::string path = folder + "/" + std::string(kLockName);
    auto lock = std::make_unique<Lock>(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock->fd_.is_open())
      return io_error("state.write", "cannot open the lock file", path, errno);
    const auto start = std::chrono::steady_clock::now();
    bool told = false;
    while (::flock(lock->fd_.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR)
        return io_error("state.write", "cannot lock", path, errno);
      const double waited =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      if (waited >= timeout_seconds) {
        return Error{
            "state.locked",
            fmt::format("another tokwatt (process {}) holds the lock since at least {:.0f} s",
                        lock->holder(), waited),
            path, "wait for it, or raise --lock-timeout"};
      }
      if (waited >= 1 && !std::exchange(told, true) && notice)
        notice(
            fmt::format("waiting for process {}, which is writing to {}", lock->holder(), folder));
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    // The pid is a courtesy to who waits; the lock holds without it.
    if (::ftruncate(lock->fd_.get(), 0) == 0) {
      const std::string pid = fmt::format("{}\n", ::getpid());
      static_cast<void>(!::pwrite(lock->fd_.get(), pid.data(), pid.size(), 0));
    }
    return lock;
  }
  explicit Lock(int fd) : fd_(fd) {}

 private:
  std::string holder() const {
    std::array<char, 16> text{};
    const ssize_t n = ::pread(fd_.get(), text.data(), text.size() - 1, 0);
    const std::string_view digits(text.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
    const std::string_view pid = digits.substr(0, digits.find_first_not_of("0123456789"));
    return pid.empty() ? "unknown" : std::string(pid);
  }

  Fd fd_;
};

/// Writes beside `path`, syncs, renames over it, syncs the folder.
Status replace_file(const std::string& folder, const std::string& path, std::string_view text) {
  std::random_device random;
  const std::string temp =
      fmt::format("{}/{}{:08x}{:08x}", folder, kTempPrefix, random(), random());
  Fd fd(::open(temp.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.is_open()) return io_error("state.write", "cannot create a file", temp, errno);
  const auto give_up = [&](std::string_view doing) {
    const int number = errno;
    fd.close();
    ::unlink(temp.c_str());
    return io_error("state.write", doing, path, number);
  };
  if (!write_all(fd.get(), text)) return give_up("cannot write");
  if (::fsync(fd.get()) != 0) return give_up("cannot sync");
  if (!fd.close()) return give_up("cannot close");
  if (::rename(temp.c_str(), path.c_str()) != 0) return give_up("cannot rename");
  Fd dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Some file systems cannot sync a folder (EINVAL); the document is whole all the same.
  if (dir.is_open() && ::fsync(dir.get()) != 0 && errno != EINVAL)
    return io_error("state.write", "cannot sync the folder", folder, errno);
  return Ok{};
}

void remove_stale_temps(const std::string& folder, std::time_t now) {
  int error = 0;
  for (const std::string& name : entries_of(folder, &error)) {
    struct stat info {};
    const std::string path = folder + "/" + name;
    if (name.starts_with(kTempPrefix) && ::stat(path.c_str(), &info) == 0 &&
        info.st_mtime + kStaleTempSeconds < now)
      ::unlink(path.c_str());
  }
}

/// The whole file; errno in `error`, 0 when it was read.
std::string read_file(const std::string& path, int* error) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  *error = fd.is_open() ? 0 : errno;
  std::string text;
  if (!fd.is_open()) return text;
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    *error = EINVAL;
    return text;
  }
  std::array<char, 65536> buffer;
  while (text.size() <= kMaxDocumentBytes) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) *error = errno;
    if (n <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
  return text;
}

/// The major of "1.0"; -1 for anything else.
int major_of(const Json& json) {
  const Json* schema = json.find("schema");
  const std::string* text = schema != nullptr ? schema->as_string() : nullptr;
  if (text == nullptr || text->empty() || text->size() > 9) return -1;
  const std::size_t dot = text->find('.');
  if (dot == 0 || dot == std::string::npos) return -1;
  int major = 0;
  for (const char c : text->substr(0, dot)) {
    if (c < '0' || c > '9') return -1;
    major = major * 10 + (c - '0');
  }
  return major;
}

std::string text_of(const Json& json, std::string_view key) {
  const Json* member = json.find(key);
  const std::string* text = member != nullptr ? member->as_string() : nullptr;
  return text != nullptr ? *text : std::string();
}

}  // namespace

StateFolders state_folders(const EnvironmentLookup& lookup, const std::string& passwd_home) {
  const auto absolute = [&](std::string_view name) {
    const std::string value = lookup(name).value_or("");
    return value.starts_with('/') ? value : std::string();
  };
  std::string home = absolute("HOME");
  if (home.empty() && passwd_home.starts_with('/')) home = passwd_home;
  const auto folder = [&](std::string_view variable, std::string_view under_home) {
    const std::string base = absolute(variable);
    if (!base.empty()) return base + "/tokwatt";
    return home.empty() ? std::string() : fmt::format("{}/{}/tokwatt", home, under_home);
  };
  return {folder("XDG_STATE_HOME", ".local/state"), folder("XDG_CONFIG_HOME", ".config"),
          folder("XDG_CACHE_HOME", ".cache")};
}

std::string StateStore::folder_of(std::string_view kind) const {
  return fmt::format("{}/{}", options_.folder, kind);
}

std::time_t StateStore::now() const {
  return options_.now ? options_.now() : std::time(nullptr);
}

void StateStore::notice(const std::string& text) const {
  if (options_.on_notice) options_.on_notice(text);
}

Status StateStore::save(std::string_view kind, std::string_view name, const Json& payload,
                        std::string_view fingerprint) {
  if (!valid_name(name)) return invalid_name(name);
  if (options_.folder.empty()) return make_folder("");
  const std::string folder = folder_of(kind);
  if (auto made = make_folder(folder); !made) return made.error();
  const auto lock = Lock::take(folder, options_.lock_timeout_seconds, options_.on_notice);
  if (!lock) return lock.error();
  remove_stale_temps(folder, now());
  const std::string file = std::string(name) + std::string(kSuffix);
  const std::string path = folder + "/" + file;
  std::string damage;
  if (const auto old = read(path, {}, &damage); !old && old.error().code == "state.newer")
    return old.error();
  // What is damaged is not overwritten: somebody may want to look at it.
  if (!damage.empty()) put_aside(folder, file, damage);

  const std::string saved_at = timestamp(now(), "%Y-%m-%dT%H:%M:%SZ");
  std::string text;
  JsonWriter writer(&text);
  writer.begin_object()
      .member("schema", kSchema)
      .member("kind", kind)
      .member("name", name)
      .member("tool_version", std::string_view(options_.tool_version))
      .member("saved_at", std::string_view(saved_at))
      .member("fingerprint", fingerprint)
      .member("payload", payload);
  const std::string sum = checksum(text);
  text += kChecksumKey;
  text += sum + "\"}\n";
  return replace_file(folder, path, text);
}

Result<std::optional<StateStore::Document>> StateStore::read(const std::string& path,
                                                             const Validator& find_fault,
                                                             std::string* damage) const {
  int number = 0;
  const std::string text = read_file(path, &number);
  if (number == ENOENT || number == ENOTDIR) return std::optional<Document>();
  if (number != 0) return io_error("state.read", "cannot read", path, number);
  if (text.size() > kMaxDocumentBytes) {
    *damage = "it is longer than any document of ours";
    return std::optional<Document>();
  }
  auto json = parse_json(text, path, kMaxDocumentBytes);
  // A newer program may sum differently: its file is recognised by its schema alone.
  if (json && major_of(*json) > kSchemaMajor) {
    return Error{"state.newer",
                 fmt::format("written by a newer tokwatt (schema {}), left as it is",
                             text_of(*json, "schema")),
                 path, "use the newer tokwatt, or another --state-dir"};
  }
  const std::size_t at = text.rfind(kChecksumKey);
  if (text.empty()) {
    *damage = "it is empty";
  } else if (!json) {
    *damage = json.error().what;
  } else if (at == std::string::npos ||
             text_of(*json, "checksum") != checksum(std::string_view(text).substr(0, at))) {
    *damage = "its checksum does not match";
  } else if (major_of(*json) < 1 || json->find("payload") == nullptr) {
    *damage = "it is no document of ours";
  } else if (find_fault) {
    *damage = find_fault(*json->find("payload")).value_or("");
  }
  if (!damage->empty()) return std::optional<Document>();
  return std::optional<Document>(Document{*json->find("payload"), text_of(*json, "fingerprint"),
                                          text_of(*json, "tool_version"),
                                          text_of(*json, "saved_at")});
}

Result<std::optional<StateStore::Document>> StateStore::load(std::string_view kind,
                                                             std::string_view name,
                                                             const Validator& find_fault) {
  if (!valid_name(name)) return invalid_name(name);
  if (options_.folder.empty()) return std::optional<Document>();
  const std::string folder = folder_of(kind);
  const std::string file = std::string(name) + std::string(kSuffix);
  const std::string path = folder + "/" + file;
  std::string damage;
  auto document = read(path, find_fault, &damage);
  if (damage.empty()) return document;
  const auto lock = Lock::take(folder, options_.lock_timeout_seconds, options_.on_notice);
  if (!lock) {
    notice(fmt::format("{} is damaged ({}) and is not used; it cannot be put aside: {}", path,
                       damage, lock.error().what));
    return std::optional<Document>();
  }
  // A writer may have replaced it meanwhile.
  damage.clear();
  document = read(path, find_fault, &damage);
  if (!damage.empty()) put_aside(folder, file, damage);
  return document;
}

void StateStore::put_aside(const std::string& folder, const std::string& file,
                           const std::string& reason) {
  const std::string prefix = file + ".corrupt-";
  std::string aside = prefix + timestamp(now(), "%Y%m%dT%H%M%SZ");
  const std::string base = aside;
  for (int i = 2; ::access((folder + "/" + aside).c_str(), F_OK) == 0 && i < 1000; ++i)
    aside = fmt::format("{}-{:03}", base, i);
  if (::rename((folder + "/" + file).c_str(), (folder + "/" + aside).c_str()) != 0) {
    notice(fmt::format("{}/{} is damaged ({}) and is not used; it cannot be put aside: {}", folder,
                       file, reason, std::strerror(errno)));
    return;
  }
  notice(fmt::format("{}/{} is damaged ({}); it was put aside as {}", folder, file, reason, aside));
  int error = 0;
  std::vector<std::string> kept;
  for (const std::string& name : entries_of(folder, &error)) {
    if (name.starts_with(prefix)) kept.push_back(name);  // sorted by their timestamps
  }
  for (std::size_t i = 0; i + kKeptCorrupt < kept.size(); ++i)
    ::unlink((folder + "/" + kept[i]).c_str());
}

Result<std::vector<std::string>> StateStore::list(std::string_view kind) const {
  std::vector<std::string> names;
  if (options_.folder.empty()) return names;
  int error = 0;
  const std::string folder = folder_of(kind);
  for (const std::string& file : entries_of(folder, &error)) {
    if (!file.ends_with(kSuffix)) continue;
    const std::string name = file.substr(0, file.size() - kSuffix.size());
    if (valid_name(name)) names.push_back(name);
  }
  if (error != 0 && error != ENOENT && error != ENOTDIR)
    return io_error("state.read", "cannot list", folder, error);
  return names;
}

Status StateStore::save_machine(std::string_view name, const Machine& machine,
                                std::string_view fingerprint) {
  return save("machines", name, machine_to_json(machine), fingerprint);
}

Result<std::optional<Machine>> StateStore::load_machine(std::string_view name) {
  std::optional<Machine> machine;
  std::optional<Error> newer;
  const auto document =
      load("machines", name, [&](const Json& payload) -> std::optional<std::string> {
        auto read = machine_from_json(payload, name);
        if (read) {
          machine = *std::move(read);
        } else if (read.error().code == "machine.schema") {
          newer = read.error();  // the record is newer than its envelope: no damage
        } else {
          return read.error().where + ": " + read.error().what;
        }
        return std::nullopt;
      });
  if (!document) return document.error();
  if (newer) return Error{"state.newer", newer->what, newer->where, newer->hint};
  if (!document->has_value()) return std::optional<Machine>();
  return machine;
}

}  // namespace hwdb
