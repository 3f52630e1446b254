#include <refrain/report/event_file.hpp>

#include <array>
#include <bit>
#include <concepts>

namespace refrain::report {
namespace {

/// A value's bytes, the lowest first.
template <std::unsigned_integral Bits>
std::string fixed(Bits bits) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof bits; ++i) bytes += static_cast<char>(bits >> 8 * i & 0xff);
  return bytes;
}

/// A protocol buffers message under construction (protobuf.dev/programming-guides/encoding).
class Message {
public:
  Message& integer(int field, int64_t value) {
    varint(static_cast<uint64_t>(field) << 3);
    varint(static_cast<uint64_t>(value));
    return *this;
  }
  Message& number(int field, double value) { return tagged(field, 1, fixed(std::bit_cast<uint64_t>(value))); }
  Message& number(int field, float value) { return tagged(field, 5, fixed(std::bit_cast<uint32_t>(value))); }
  /// A string, or a message within this one.
  Message& bytes(int field, std::string_view value) {
    varint(static_cast<uint64_t>(field) << 3 | 2);
    varint(value.size());
    text_ += value;
    return *this;
  }
  Message& message(int field, Message const& value) { return bytes(field, value.text_); }

  std::string const& text() const noexcept { return text_; }

private:
  Message& tagged(int field, uint64_t wire_type, std::string const& value) {
    varint(static_cast<uint64_t>(field) << 3 | wire_type);
    text_ += value;
    return *this;
  }
  void varint(uint64_t value) {
    for (; value > 0x7f; value >>= 7) text_ += static_cast<char>((value & 0x7f) | 0x80);
    text_ += static_cast<char>(value);
  }

  std::string text_;
};

/// A record's checksum, as TFRecord masks it: of data that hold checksums themselves.
uint32_t masked_crc(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xa282ead8U; }

/// tensorflow.SummaryMetadata: which of TensorBoard's pages shows a value, and what that page is told of it.
Message shown_by(std::string_view plugin, Message const& content) {
  return Message{}.message(1, Message{}.bytes(1, plugin).message(2, content));
}

constexpr int float_type = 1, string_type = 7;  // tensorflow.DataType

/// tensorflow.TensorProto of one element, which is still to be added.
Message tensor(int type) {
  Message const dimension = Message{}.integer(1, 1);
  return Message{}.integer(1, type).message(2, Message{}.message(2, dimension));
}

/// google.protobuf.Value of a number, word or switch.
Message any_value(Json const& value) {
  if (value.is_boolean()) return Message{}.integer(4, value.get<bool>() ? 1 : 0);
  if (value.is_string()) return Message{}.bytes(3, value.get_ref<std::string const&>());
  return Message{}.number(2, value.get<double>());
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static auto const table = [] {
    std::array<uint32_t, 256> rests{};
    for (uint32_t byte = 0; byte < rests.size(); ++byte) {
      uint32_t rest = byte;
      for (int bit = 0; bit < 8; ++bit) rest = rest >> 1 ^ (rest & 1 ? 0x82f63b78U : 0U);
      rests[byte] = rest;
    }
    return rests;
  }();
  uint32_t rest = ~uint32_t{0};
  for (char const byte : bytes) rest = table[(rest ^ static_cast<unsigned char>(byte)) & 0xff] ^ rest >> 8;
  return ~rest;
}

EventFile::EventFile(double time) { add_event(time, 0, 3, "brain.Event:2"); }

void EventFile::add_scalars(double time, int64_t step, std::vector<std::pair<std::string, double>> const& values) {
  Message summary;
  for (auto const& [tag, value] : values)
    summary.message(1, Message{}.bytes(1, tag).number(2, static_cast<float>(value)));
  add_event(time, step, 5, summary.text());
}

void EventFile::add_text(double time, std::string const& tag, std::string const& text) {
  Message const value = Message{}
                            .bytes(1, tag + "/text_summary")
                            .message(8, tensor(string_type).bytes(8, text))
                            .message(9, shown_by("text", Message{}));
  add_event(time, 0, 5, Message{}.message(1, value).text());
}

void EventFile::add_hyperparameters(double time, Json const& values) {
  Message start;  // tensorboard/plugins/hparams/plugin_data.proto: SessionStartInfo
  for (auto const& [name, value] : values.items())
    if (value.is_number() || value.is_string() || value.is_boolean())
      start.message(1, Message{}.bytes(1, name).message(2, any_value(value)));
  start.number(5, time);
  Message const value = Message{}
                            .bytes(1, "_hparams_/session_start_info")
                            .message(8, tensor(float_type).bytes(5, fixed(uint32_t{0})))
                            .message(9, shown_by("hparams", Message{}.message(3, start)));
  add_event(time, 0, 5, Message{}.message(1, value).text());
}

void EventFile::add_event(double time, int64_t step, int field, std::string_view message) {
  std::string const event = Message{}.number(1, time).integer(2, step).bytes(field, message).text();
  std::string const length = fixed(static_cast<uint64_t>(event.size()));
  bytes_ += length + fixed(masked_crc(length)) + event + fixed(masked_crc(event));
}

}  // namespace refrain::report
