#include <refrain/page/drawing.hpp>

#include <catch2/catch.hpp>

using namespace refrain::page;

TEST_CASE("a PDF's index points at its objects") {
  Drawing drawing(100, 50);
  drawing.line({{0, 0}, {100, 50}}, "#ff0000", 1);
  drawing.text({50, 25}, "(Łódź) é", 10, Anchor::middle);
  auto const pdf = to_pdf(drawing, {"x", "title", "what it shows"});
  auto const start = pdf.rfind("startxref\n");
  auto const table = std::stoul(pdf.substr(start + 10));
  CHECK(pdf.compare(table, 5, "xref\n") == 0);
  for (int object = 1; object <= 6; ++object) {
    auto const entry = table + 5 + 4 + 20 * static_cast<std::size_t>(object);
    auto const place = std::stoul(pdf.substr(entry, 10));
    CHECK(pdf.compare(place, 8, std::to_string(object) + " 0 obj\n") == 0);
  }
  CHECK(pdf.find("1 0 0 RG 1 w 0 50 m 100 0 l S") != std::string::npos);
  CHECK(pdf.find("(\\(?\xf3"
                 "d?\\) \xe9) Tj") != std::string::npos);
}

TEST_CASE("HTML escapes what is its own") {
  CHECK(escape_html("<a href=\"x\">&") == "&lt;a href=&quot;x&quot;&gt;&amp;");
}
