// SPDX-License-Identifier: MIT
#include "probes/measure/power.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "probes/measure/load_times.h"
#include "probes/testing/scratch_folder.h"

namespace probes {
namespace {

class PowerTest : public ::testing::Test {
 protected:
  static const Reading& find(const std::vector<Reading>& readings, std::string_view id,
                             std::string_view device = "") {
    static const Reading kNone = failed_reading("none", "", ReadingStatus::error, "not there");
    const auto it = std::ranges::find_if(
        readings, [&](const Reading& r) { return r.id == id && r.device == device; });
    return it != readings.end() ? *it : kNone;
  }
  void rapl(const std::string& zone, const std::string& name, const std::string& energy) {
    const std::string folder = "/sys/class/powercap/" + zone;
    tree_.write(folder + "/name", name + "\n");
    tree_.write(folder + "/max_energy_range_uj", "1000000000\n");
    tree_.write(folder + "/energy_uj", energy + "\n");
  }
  ScratchFolder tree_;
};

TEST_F(PowerTest, RaplCountersBecomeWattsAcrossTheirEnd) {
  rapl("intel-rapl:0", "package-0", "990000000");
  rapl("intel-rapl:0:0", "core", "5");
  rapl("intel-rapl:0:1", "dram", "1000000");
  rapl("intel-rapl-mmio:0", "package-0", "990000000");
  const SysRoot sys(tree_.path());
  PowerMeter meter(sys);
  ASSERT_TRUE(meter.any());
  EXPECT_TRUE(meter.missing("idle").empty());
  meter.sample(100);
  // 30 J in a second; the counter begins again at 1000 J.
  rapl("intel-rapl:0", "package-0", "20000000");
  rapl("intel-rapl:0:1", "dram", "4000000");
  meter.sample(101);
  rapl("intel-rapl:0", "package-0", "70000000");
  meter.sample(102);
  const auto readings = meter.readings("idle", 100, 102);
  ASSERT_EQ(readings.size(), 2u);
  const Reading& package = find(readings, "power.cpu_package_0.idle");
  ASSERT_EQ(package.status, ReadingStatus::ok) << package.reason;
  EXPECT_NEAR(package.value, 40, 1e-9);
  ASSERT_EQ(package.samples.size(), 2u);
  EXPECT_NEAR(package.samples[0], 30, 1e-9);
  EXPECT_NEAR(package.samples[1], 50, 1e-9);
  EXPECT_EQ(package.unit, "W");
  EXPECT_NEAR(find(readings, "power.cpu_dram_0.idle").value, 1.5, 1e-9);
  // Only what lies between the times counts.
  EXPECT_NEAR(meter.readings("idle", 101, 102)[0].value, 50, 1e-9);
  EXPECT_EQ(meter.readings("idle", 101, 101.2)[0].status, ReadingStatus::skipped);
  EXPECT_TRUE(meter.readings("idle", 500, 600).empty());
}

TEST_F(PowerTest, NoSensorIsUnsupportedNeverZeroWatts) {
  const SysRoot sys(tree_.path());
  PowerMeter meter(sys);
  meter.sample(1);
  meter.sample(2);
  EXPECT_FALSE(meter.any());
  EXPECT_TRUE(meter.readings("idle", 0, 3).empty());
  const auto missing = meter.missing("idle");
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_EQ(missing[0].id, "power.cpu_package.idle");
  EXPECT_EQ(missing[0].status, ReadingStatus::unsupported);
  EXPECT_NE(missing[0].reason, "");
}

TEST_F(PowerTest, CountersOfRootAreNotPermitted) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything";
  rapl("intel-rapl:0", "package-0", "1");
  ::chmod((tree_.path() + "/sys/class/powercap/intel-rapl:0/energy_uj").c_str(), 0);
  const SysRoot sys(tree_.path());
  const PowerMeter meter(sys);
  const Reading missing = find(meter.missing("idle"), "power.cpu_package_0.idle");
  EXPECT_EQ(missing.status, ReadingStatus::not_permitted);
  EXPECT_NE(missing.reason.find("root only"), std::string::npos) << missing.reason;
}

TEST_F(PowerTest, ADamagedCounterIsNoSensor) {
  rapl("intel-rapl:0", "package-0", "many");
  const SysRoot sys(tree_.path());
  const PowerMeter meter(sys);
  EXPECT_FALSE(meter.any());
  EXPECT_EQ(find(meter.missing("idle"), "power.cpu_package_0.idle").status,
            ReadingStatus::unsupported);
}

TEST_F(PowerTest, CardsTellByTheirAddress) {
  tree_.write("/sys/devices/pci0/0000:03:00.0/vendor", "0x1002\n");
  tree_.write("/sys/devices/pci0/0000:04:00.0/vendor", "0x8086\n");
  tree_.write("/sys/class/hwmon/hwmon0/name", "nvme\n");
  tree_.write("/sys/class/hwmon/hwmon0/power1_input", "5\n");
  tree_.write("/sys/class/hwmon/hwmon1/name", "amdgpu\n");
  tree_.write("/sys/class/hwmon/hwmon1/power1_average", "21500000\n");
  tree_.link("/sys/class/hwmon/hwmon1/device", "../../../devices/pci0/0000:03:00.0");
  tree_.write("/sys/class/hwmon/hwmon2/name", "xe\n");
  tree_.write("/sys/class/hwmon/hwmon2/energy1_input", "1000000\n");
  tree_.link("/sys/class/hwmon/hwmon2/device", "../../../devices/pci0/0000:04:00.0");
  tree_.write("/sys/class/hwmon/hwmon3/name", "i915\n");
  const SysRoot sys(tree_.path());
  PowerMeter meter(sys);
  meter.sample(10);
  tree_.write("/sys/class/hwmon/hwmon1/power1_average", "28500000\n");
  tree_.write("/sys/class/hwmon/hwmon2/energy1_input", "41000000\n");
  meter.sample(12);
  const auto readings = meter.readings("cpu_read", 10, 12);
  EXPECT_EQ(readings.size(), 2u);
  EXPECT_NEAR(find(readings, "power.gpu.cpu_read", "0000:03:00.0").value, 25, 1e-9);
  EXPECT_NEAR(find(readings, "power.gpu.cpu_read", "0000:04:00.0").value, 20, 1e-9);
  EXPECT_EQ(find(meter.missing("cpu_read"), "power.gpu.cpu_read").reason,
            "i915 has no power sensor here");
}

TEST_F(PowerTest, ABatterySpeaksForTheMachineOnlyWhileItDischarges) {
  const std::string folder = "/sys/class/power_supply/BAT0";
  tree_.write(folder + "/type", "Battery\n");
  tree_.write(folder + "/status", "Discharging\n");
  tree_.write(folder + "/current_now", "1500000\n");
  tree_.write(folder + "/voltage_now", "12000000\n");
  tree_.write("/sys/class/power_supply/hidpp_battery_0/type", "Battery\n");
  tree_.write("/sys/class/power_supply/hidpp_battery_0/scope", "Device\n");
  tree_.write("/sys/class/power_supply/hidpp_battery_0/status", "Discharging\n");
  const SysRoot sys(tree_.path());
  PowerMeter meter(sys);
  meter.sample(1);
  meter.sample(2);
  // Plugged in: no more samples, and the rest stays true.
  tree_.write(folder + "/status", "Charging\n");
  tree_.write(folder + "/current_now", "9000000\n");
  meter.sample(3);
  const auto readings = meter.readings("idle", 0, 4);
  ASSERT_EQ(readings.size(), 1u);
  EXPECT_NEAR(readings[0].value, 18, 1e-9);
  EXPECT_EQ(readings[0].samples.size(), 2u);
  const PowerMeter plugged(sys);
  EXPECT_FALSE(plugged.any());
  EXPECT_NE(find(plugged.missing("idle"), "power.battery.idle").reason.find("Charging"),
            std::string::npos);
}

TEST_F(PowerTest, NvmlTellsEnergyOrPower) {
  const SysRoot sys(tree_.path());
  PowerMeter meter(sys);
  engine::NvmlDevice counting, old;
  counting.pci_address = "0000:01:00.0";
  counting.energy_joules = 1000;
  counting.power_watts = 7;  // slow to follow: the counter is better
  old.pci_address = "0000:02:00.0";
  old.power_watts = 60;
  meter.add_nvml(1, {counting, old});
  counting.energy_joules = 1600;
  old.power_watts = 80;
  meter.add_nvml(3, {counting, old});
  const auto readings = meter.readings("gpu", 1, 3);
  EXPECT_NEAR(find(readings, "power.gpu.gpu", "0000:01:00.0").value, 300, 1e-9);
  EXPECT_NEAR(find(readings, "power.gpu.gpu", "0000:02:00.0").value, 70, 1e-9);
  meter.fail_nvml(ReadingStatus::unsupported, "libnvidia-ml.so.1 is not installed");
  EXPECT_EQ(find(meter.missing("idle"), "power.gpu.idle").status, ReadingStatus::unsupported);
}

TEST_F(PowerTest, NonsenseIsAnError) {
  rapl("intel-rapl:0", "package-0", "0");
  const SysRoot sys(tree_.path());
  PowerMeter meter(sys);
  meter.sample(1);
  rapl("intel-rapl:0", "package-0", "900000000000000");
  meter.sample(2);
  EXPECT_EQ(meter.readings("idle", 0, 3)[0].status, ReadingStatus::error);
}

TEST_F(PowerTest, TheSamplerReadsInTheBackgroundAndEndsWithItsChild) {
  rapl("intel-rapl:0", "package-0", "1");
  const SysRoot sys(tree_.path());
  PowerMeter meter(sys);
  {
    const PowerSampler sampler(&meter, true, TOKWATT_PROBES_CHILD);
    while (meter.readings("idle", 0, 1e12).empty()) ::usleep(1000);
  }
  const auto readings = meter.readings("idle", 0, 1e12);
  EXPECT_EQ(readings[0].id, "power.cpu_package_0.idle");
}

TEST(LoadTimes, FromTheFirstToTheLastMentionOfAStep) {
  LoadTimes times;
  times.see("a", 1);
  times.see("a", 2);
  times.see("b", 3);
  times.see("b", 5.5);
  EXPECT_EQ(times.of("a"), std::pair(1.0, 2.0));
  EXPECT_EQ(times.of("b"), std::pair(3.0, 5.5));
  EXPECT_EQ(times.of("never"), std::pair(0.0, 0.0));
}

}  // namespace
}  // namespace probes
