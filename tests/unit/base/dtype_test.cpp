#include <catch2/catch.hpp>

#include <refrain/base/dtype.hpp>

#include <bit>
#include <cmath>
#include <limits>

using namespace refrain;

TEST_CASE("bf16 rounds to nearest even and keeps NaN") {
  CHECK(bf16_from_float(1.0f) == 0x3f80);
  CHECK(bf16_from_float(std::bit_cast<float>(0x3f808000u)) == 0x3f80);  // a tie goes to even
  CHECK(bf16_from_float(std::bit_cast<float>(0x3f818000u)) == 0x3f82);
  CHECK(bf16_from_float(std::bit_cast<float>(0x3f808001u)) == 0x3f81);
  CHECK(std::isinf(float_from_bf16(bf16_from_float(std::numeric_limits<float>::max()))));
  CHECK(std::isnan(float_from_bf16(bf16_from_float(std::bit_cast<float>(0x7f800001u)))));
}

TEST_CASE("every fp16 value survives the way to fp32 and back, and halves round to even") {
  for (uint32_t bits = 0; bits < 0x10000u; ++bits) {
    float const value = float_from_fp16(static_cast<uint16_t>(bits));
    if (std::isnan(value))
      CHECK(std::isnan(float_from_fp16(fp16_from_float(value))));
    else if (fp16_from_float(value) != bits)
      FAIL("fp16 " << bits);
    // Halfway to the next larger magnitude: the even one of both.
    uint32_t const next = bits + 1;
    if ((bits & 0x7fffu) < 0x7bffu) {
      float const middle = (value + float_from_fp16(static_cast<uint16_t>(next))) / 2;
      if (fp16_from_float(middle) != ((bits & 1u) ? next : bits)) FAIL("halfway after fp16 " << bits);
    }
  }
  CHECK(fp16_from_float(65519.0f) == 0x7bff);
  CHECK(fp16_from_float(65520.0f) == 0x7c00);
  CHECK(fp16_from_float(1e-8f) == 0);
  CHECK(float_from_fp16(0x0001) == 0x1p-24f);
}
