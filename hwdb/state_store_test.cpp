// SPDX-License-Identifier: MIT
#include "hwdb/state_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>

namespace hwdb {
namespace {

namespace fs = std::filesystem;

constexpr std::time_t kNow = 1795171080;  // 2026-11-20T10:38:00Z

/// A store in a folder of its own, with a fixed clock.
class StateStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "tokwatt-state-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override {
    fs::permissions(root_, fs::perms::owner_all);
    fs::remove_all(root_);
  }
  StateStore store() {
    StateStoreOptions options;
    options.folder = (root_ / "a" / "tokwatt").string();
    options.now = [this] { return now_; };
    options.on_notice = [this](const std::string& text) { notices_.push_back(text); };
    options.lock_timeout_seconds = lock_timeout_;
    return StateStore(options);
  }
  fs::path folder() const { return root_ / "a" / "tokwatt" / "machines"; }
  fs::path file(const std::string& name) const { return folder() / (name + ".json"); }
  static std::string slurp(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  static void spill(const fs::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  std::size_t count(const std::string& part) const {
    std::size_t n = 0;
    for (const auto& entry : fs::directory_iterator(folder()))
      n += entry.path().filename().string().find(part) != std::string::npos ? 1 : 0;
    return n;
  }
  static Machine machine(const std::string& name, std::uint64_t memory = 64 * kGiB) {
    Machine m;
    m.name = name;
    m.memory.total = {Bytes(memory), Basis::detected, "/proc/meminfo", ""};
    return m;
  }

  fs::path root_;
  std::time_t now_ = kNow;
  double lock_timeout_ = 5;
  std::vector<std::string> notices_;
};

TEST(StateFolders, FollowTheXdgRules) {
  std::map<std::string, std::string, std::less<>> env;
  const auto lookup = [&](std::string_view name) -> std::optional<std::string> {
    const auto it = env.find(name);
    return it != env.end() ? std::optional(it->second) : std::nullopt;
  };
  EXPECT_EQ(state_folders(lookup, "").state, "");
  EXPECT_EQ(state_folders(lookup, "/home/pw").state, "/home/pw/.local/state/tokwatt");
  env["HOME"] = "/home/me";
  EXPECT_EQ(state_folders(lookup, "/home/pw").config, "/home/me/.config/tokwatt");
  EXPECT_EQ(state_folders(lookup, "").cache, "/home/me/.cache/tokwatt");
  env["XDG_STATE_HOME"] = "/var/s";
  env["XDG_CONFIG_HOME"] = "relative/ignored";
  env["XDG_CACHE_HOME"] = "";
  const StateFolders f = state_folders(lookup, "");
  EXPECT_EQ(f.state, "/var/s/tokwatt");
  EXPECT_EQ(f.config, "/home/me/.config/tokwatt");
  EXPECT_EQ(f.cache, "/home/me/.cache/tokwatt");
  env["HOME"] = "not-absolute";
  EXPECT_EQ(state_folders(lookup, "").config, "");
}

TEST_F(StateStoreTest, SavesLoadsAndLists) {
  StateStore s = store();
  EXPECT_FALSE((*s.load_machine("lab")).has_value());
  EXPECT_TRUE(s.list_machines()->empty());
  ASSERT_TRUE(s.save_machine("lab", machine("lab")).has_value());
  ASSERT_TRUE(s.save_machine("attic", machine("attic", 8 * kGiB)).has_value());
  EXPECT_EQ(*s.list_machines(), (std::vector<std::string>{"attic", "lab"}));
  const auto back = s.load_machine("attic");
  ASSERT_TRUE(back.has_value() && back->has_value());
  EXPECT_EQ((*back)->memory.total.value.value, 8 * kGiB);
  const auto document = s.load("machines", "lab");
  ASSERT_TRUE(document.has_value() && document->has_value());
  EXPECT_EQ((*document)->saved_at, "2026-11-20T10:38:00Z");
  EXPECT_TRUE(notices_.empty());
  struct stat info {};
  ASSERT_EQ(::stat(file("lab").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
  ASSERT_EQ(::stat(folder().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0700u);
  EXPECT_EQ(count(".tmp-"), 0u);
}

TEST_F(StateStoreTest, NamesCannotLeaveTheFolder) {
  StateStore s = store();
  for (const char* name : {"", "../x", "a/b", ".hidden", "-rf", "a b", "x\n"}) {
    EXPECT_EQ(s.save_machine(name, machine("m")).error().code, "name.invalid") << name;
    EXPECT_EQ(s.load_machine(name).error().code, "name.invalid") << name;
  }
  EXPECT_TRUE(s.save_machine(std::string(64, 'x'), machine("m")).has_value());
  EXPECT_FALSE(s.save_machine(std::string(65, 'x'), machine("m")).has_value());
}

TEST_F(StateStoreTest, EveryDamagedByteIsNoticed) {
  StateStore s = store();
  ASSERT_TRUE(s.save_machine("lab", machine("lab")).has_value());
  const std::string good = slurp(file("lab"));
  for (std::size_t i = 0; i + 1 < good.size(); ++i) {  // the last byte is the line end
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    spill(file("lab"), bad);
    const auto result = s.load_machine("lab");
    // A flip inside the schema may read as a newer version: refused as well, and left in place.
    const bool refused =
        !result.has_value() ? result.error().code == "state.newer" : !result->has_value();
    EXPECT_TRUE(refused) << "byte " << i;
    ++now_;
  }
  EXPECT_EQ(count(".corrupt-"), 3u);  // only the last three are kept
}

TEST_F(StateStoreTest, DamagedFilesArePutAsideAndCountAsAbsent) {
  StateStore s = store();
  ASSERT_TRUE(s.save_machine("lab", machine("lab")).has_value());
  const std::string good = slurp(file("lab"));
  for (const std::string& bad : {std::string(), std::string("{"), good.substr(0, good.size() / 2),
                                 std::string("[]"), std::string("\0\0\0\0", 4)}) {
    now_ += 60;
    notices_.clear();
    spill(file("lab"), bad);
    const auto result = s.load_machine("lab");
    ASSERT_TRUE(result.has_value()) << result.error().what;
    EXPECT_FALSE(result->has_value());
    EXPECT_FALSE(fs::exists(file("lab")));
    ASSERT_EQ(notices_.size(), 1u);
    EXPECT_NE(notices_[0].find("damaged"), std::string::npos);
  }
  EXPECT_TRUE(fs::exists(folder() / "lab.json.corrupt-20261120T104300Z"));
  EXPECT_TRUE(s.save_machine("lab", machine("lab")).has_value());
  EXPECT_TRUE((*s.load_machine("lab")).has_value());
  EXPECT_EQ(*s.list_machines(), std::vector<std::string>{"lab"});
}

TEST_F(StateStoreTest, ImplausibleValuesMakeAProfileDamaged) {
  StateStore s = store();
  Json payload = machine_to_json(machine("lab"));
  for (auto& [key, member] : *payload.as_object()) {
    if (key == "cpu") member = Json(Json::Object{{"cores", Json(-4)}});
  }
  ASSERT_TRUE(s.save("machines", "lab", payload, "").has_value());
  EXPECT_FALSE((*s.load_machine("lab")).has_value());
  ASSERT_EQ(notices_.size(), 1u);
  EXPECT_NE(notices_[0].find("cores"), std::string::npos);
}

TEST_F(StateStoreTest, ANewerMajorIsLeftAlone) {
  StateStore s = store();
  ASSERT_TRUE(s.save_machine("lab", machine("lab")).has_value());
  const std::string newer = R"({"schema":"2.0","payload":{"machine":"in another shape"}})";
  spill(file("lab"), newer);
  EXPECT_EQ(s.load_machine("lab").error().code, "state.newer");
  EXPECT_EQ(s.save_machine("lab", machine("lab")).error().code, "state.newer");
  EXPECT_EQ(slurp(file("lab")), newer);
}

TEST_F(StateStoreTest, NoFolderIsAnErrorOnlyWhenSaving) {
  StateStore s{StateStoreOptions{}};
  EXPECT_FALSE((*s.load_machine("lab")).has_value());
  EXPECT_TRUE(s.list_machines()->empty());
  EXPECT_EQ(s.save_machine("lab", machine("lab")).error().code, "state.folder");
  spill(root_ / "a", "a file where the folder should be");
  StateStore blocked = store();
  EXPECT_EQ(blocked.save_machine("lab", machine("lab")).error().code, "state.folder");
}

TEST_F(StateStoreTest, ReadOnlyFoldersSayWhyAndStillRead) {
  StateStore s = store();
  ASSERT_TRUE(s.save_machine("lab", machine("lab")).has_value());
  spill(file("bad"), "{");
  // Root may write everywhere: become somebody else for this test.
  constexpr uid_t kNobody = 65534;
  const bool root = ::geteuid() == 0;
  if (root) {
    ASSERT_EQ(::chown(root_.c_str(), kNobody, kNobody), 0);
    for (const auto& entry : fs::recursive_directory_iterator(root_))
      ASSERT_EQ(::chown(entry.path().c_str(), kNobody, kNobody), 0);
    ASSERT_EQ(::seteuid(kNobody), 0);
  }
  fs::permissions(folder(), fs::perms::owner_read | fs::perms::owner_exec);
  const Status saved = s.save_machine("attic", machine("attic"));
  ASSERT_FALSE(saved.has_value());
  EXPECT_EQ(saved.error().code, "state.write");
  EXPECT_TRUE((*s.load_machine("lab")).has_value());
  EXPECT_FALSE((*s.load_machine("bad")).has_value());  // cannot be put aside: said, not fatal
  EXPECT_EQ(notices_.size(), 1u);
  fs::permissions(folder(), fs::perms::owner_all);
  ASSERT_EQ(::seteuid(root ? 0 : ::geteuid()), 0);
}

TEST_F(StateStoreTest, AFullDiskLeavesTheOldDocumentWhole) {
  StateStore s = store();
  ASSERT_TRUE(s.save_machine("lab", machine("old")).has_value());
  const std::string before = slurp(file("lab"));
  const pid_t child = ::fork();
  if (child == 0) {  // a limit on file size stands in for the full disk
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{64, 64};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const Status status = s.save_machine("lab", machine("new"));
    ::_exit(!status.has_value() && status.error().code == "state.write" ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(slurp(file("lab")), before);
  EXPECT_EQ(count(".tmp-"), 0u);
}

TEST_F(StateStoreTest, TheLockNamesItsHolder) {
  lock_timeout_ = 1.3;
  StateStore s = store();
  ASSERT_TRUE(s.save_machine("lab", machine("lab")).has_value());
  const int fd = ::open((folder() / ".lock").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(::flock(fd, LOCK_EX), 0);
  const Status status = s.save_machine("lab", machine("lab"));
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, "state.locked");
  EXPECT_EQ(exit_status(status.error().code), 6);
  EXPECT_NE(status.error().what.find(std::to_string(::getpid())), std::string::npos);
  ASSERT_EQ(notices_.size(), 1u);  // the message after one second of waiting
  EXPECT_NE(notices_[0].find("waiting"), std::string::npos);
  EXPECT_TRUE((*s.load_machine("lab")).has_value());  // readers need no lock
  ::close(fd);
  EXPECT_TRUE(s.save_machine("lab", machine("lab")).has_value());
}

TEST_F(StateStoreTest, StaleTempFilesGoAtTheNextSave) {
  StateStore s = store();
  ASSERT_TRUE(s.save_machine("lab", machine("lab")).has_value());
  spill(folder() / ".tmp-00000000aaaaaaaa", "left by a crash");
  now_ = std::time(nullptr) + 3600;
  ASSERT_TRUE(s.save_machine("lab", machine("lab")).has_value());
  EXPECT_EQ(count(".tmp-"), 1u);  // young: may belong to a writer
  now_ = std::time(nullptr) + 2 * 24 * 3600;
  ASSERT_TRUE(s.save_machine("lab", machine("lab")).has_value());
  EXPECT_EQ(count(".tmp-"), 0u);
}

TEST_F(StateStoreTest, TwoWritersTakeTurns) {
  StateStore s = store();
  std::vector<pid_t> children;
  for (const std::uint64_t who : {1u, 2u}) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (std::uint64_t i = 1; i <= 40; ++i) {
        const std::string name = "writer " + std::to_string(who);
        if (!s.save_machine("lab", machine(name, who * kGiB)).has_value()) ::_exit(1);
      }
      ::_exit(0);
    }
    children.push_back(child);
  }
  // A reader in between sees one whole document of either writer, or none yet.
  for (int i = 0; i < 200; ++i) {
    const auto seen = s.load_machine("lab");
    ASSERT_TRUE(seen.has_value()) << seen.error().what;
    if (!seen->has_value()) continue;
    EXPECT_EQ((*seen)->name, "writer " + std::to_string((*seen)->memory.total.value.value / kGiB));
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_TRUE((*s.load_machine("lab")).has_value());
  EXPECT_TRUE(notices_.empty());
}

TEST_F(StateStoreTest, KilledAtAnyMomentTheStoreStaysValid) {
  StateStore s = store();
  ASSERT_TRUE(s.save_machine("lab", machine("before")).has_value());
  for (int round = 0; round < 60; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (std::uint64_t i = 0;; ++i) {
        if (!s.save_machine("lab", machine("round", (i + 1) * kMiB)).has_value()) ::_exit(1);
      }
    }
    std::this_thread::sleep_for(std::chrono::microseconds(500 + 137 * round));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));  // it never failed to save
    const auto back = s.load_machine("lab");
    ASSERT_TRUE(back.has_value() && back->has_value()) << "round " << round;
  }
  EXPECT_TRUE(notices_.empty());
}

}  // namespace
}  // namespace hwdb
