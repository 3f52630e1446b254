#include <refrain/study/doctor_checks.hpp>

#include <catch2/catch.hpp>

using namespace refrain::study;

TEST_CASE("a finding is one line") {
  CHECK(Finding{Health::ok, "GPUs", "none here"}.line() == "ok       GPUs: none here");
  CHECK(Finding{Health::broken, "REFRAIN_PAIRS", "is not set", "export it"}.line() ==
        "broken   REFRAIN_PAIRS: is not set (export it)");
}

TEST_CASE("Slurm's settings are read as scontrol prints them") {
  auto const config = parse_slurm_config(
      "Configuration data as of 2026-01-31T12:00:00\nAuthInfo                = cred_expire=10,socket=/x\n"
      "DefMemPerNode           = UNLIMITED\nPreemptMode             = OFF\nLicenses                = (null)\n"
      "\nSlurmctld(primary) at login is UP\n");
  CHECK(config.at("AuthInfo") == "cred_expire=10,socket=/x");
  CHECK(config.at("DefMemPerNode") == "UNLIMITED");
  CHECK(config.at("Licenses").empty());
  CHECK(config.size() == 4);
}

TEST_CASE("what a quota leaves") {
  CHECK(quota_left("       /lustre    1024  0  3072  -  5 0 0 -\n") == 2048.0 * 1024);
  CHECK(quota_left("/lustre\n   4096*  0  3072  -  5 0 0 -\n") == 0.0);
  CHECK(quota_left("/lustre 1024 2048 0 - 5 0 0 -") == 1024.0 * 1024);
  CHECK_FALSE(quota_left("/lustre 1024 0 0 - 5 0 0 -"));
  CHECK_FALSE(quota_left("lfs: not a Lustre file system"));
}
