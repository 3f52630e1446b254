#include <refrain/text/text_frame.hpp>

namespace refrain::text {
namespace {

void wrap(TextFrame& frame, std::vector<int32_t> const& before, std::vector<int32_t> const& after) {
  frame.before.insert(frame.before.begin(), before.begin(), before.end());
  frame.after.insert(frame.after.end(), after.begin(), after.end());
}

void apply_template(Json const& processor, TextFrame& frame) {
  std::vector<int32_t> before, after;
  bool seen_text = false;
  for (Json const& piece : processor.at("single")) {
    if (piece.contains("Sequence")) {
      seen_text = true;
      continue;
    }
    Json const& ids = processor.at("special_tokens").at(piece.at("SpecialToken").at("id").get<std::string>()).at("ids");
    for (Json const& id : ids) (seen_text ? after : before).push_back(id.get<int32_t>());
  }
  wrap(frame, before, after);
}

void apply(Json const& processor, TextFrame& frame) {
  auto const type = processor.at("type").get<std::string>();
  if (type == "Sequence")
    for (Json const& inner : processor.at("processors")) apply(inner, frame);
  else if (type == "TemplateProcessing")
    apply_template(processor, frame);
  else if (type == "BertProcessing" || type == "RobertaProcessing")
    wrap(frame, {processor.at("cls").at(1).get<int32_t>()}, {processor.at("sep").at(1).get<int32_t>()});
  else if (type != "ByteLevel")  // which only trims offsets
    frame.unknown = type;
}

}  // namespace

TextFrame TextFrame::read(Json const& post_processor, std::filesystem::path const& path) {
  TextFrame frame;
  if (post_processor.is_null()) return frame;
  try {
    apply(post_processor, frame);
  } catch (Json::exception const& error) {
    throw Error(std::string("the post-processor is broken: ") + error.what(), "get the file anew",
                {.file = path, .object = "post_processor"});
  }
  return frame;
}

}  // namespace refrain::text
