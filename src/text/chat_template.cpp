#include "template_form.hpp"

#include <refrain/base/error.hpp>
#include <refrain/base/files.hpp>
#include <refrain/base/joined.hpp>
#include <refrain/text/chat_template.hpp>
#include <refrain/text/pipeline.hpp>
#include <refrain/text/template_text.hpp>
#include <refrain/text/tokenizer.hpp>
#include <refrain/text/unicode.hpp>

#include <algorithm>
#include <chrono>
#include <optional>

namespace refrain::text {
namespace {

namespace fs = std::filesystem;

/// The form that `choice` names, or that stands for the template of the model.
TemplateForm find_form(std::string const& choice, fs::path const& tokenizer_folder) {
  auto const shipped = data_files_beside("text/templates/llama-3.json");
  auto const digest_of = [](TemplateText const& own) { return own.text.empty() ? "" : template_digest(own.text); };
  if (auto const named = shipped.find(choice); named != shipped.end()) {
    TemplateForm form = TemplateForm::read(named->second, "");
    if (form.has_variants) form = TemplateForm::read(named->second, digest_of(read_template_text(tokenizer_folder)));
    return form;
  }
  if (choice != "auto") {
    if (choice.ends_with(".json") || choice.find('/') != choice.npos) return TemplateForm::read(choice, "");
    throw UsageError("there is no chat template '" + choice + "'",
                     "--chat-template takes auto, one of " + joined(shipped | std::views::keys) + ", or a JSON file");
  }
  std::string const remedy = "name one of the same form with --chat-template NAME|FILE.json; NAME is one of " +
                             joined(shipped | std::views::keys);
  TemplateText const own = read_template_text(tokenizer_folder);
  if (own.text.empty()) throw Error("the model has no chat template", remedy, {.file = tokenizer_folder});
  std::string const digest = digest_of(own);
  for (auto const& [name, path] : shipped)
    if (TemplateForm form = TemplateForm::read(path, digest); form.stands_for_text) return form;
  throw Error("the model's chat template (digest " + digest.substr(0, 12) + ") is none that is known", remedy,
              {.file = own.file});
}

/// Writes one conversation.
class Rendering {
public:
  Rendering(TemplateForm const& form, std::vector<Turn> const& turns, std::string const& bos, std::string const& eos)
      : form_(form), turns_(turns), bos_(bos), eos_(eos) {}

  std::string run(bool add_generation_prompt) {
    put(form_.begin);
    put(form_.policy);
    std::size_t first = 0;
    std::optional<std::string> system;
    if (form_.system) {
      system = form_.system->fallback;
      if (turns_[0].role == "system") {
        system = turns_[0].content;
        first = 1;
      }
      if (system && form_.system->place == SystemPlace::turn) put_turn(form_.system->form, "system", *system);
    }
    for (std::size_t i = first; i < turns_.size(); ++i) {
      Turn const& turn = turns_[i];
      TurnForm const& turn_form = form_.form_of(turn.role);
      if (form_.alternate && (turn.role == "user") != ((i - first) % 2 == 0))
        throw Error("roles do not alternate: turn " + std::to_string(i + 1) + " is of role '" + turn.role + "'",
                    "chat template " + form_.name + " wants user, assistant, user, ... behind a system turn");
      bool const takes_system = i == first && system && form_.system->place == SystemPlace::first_turn;
      put_turn(turn_form, turn.role, takes_system ? with_system(*system, turn.content) : turn.content);
    }
    put(form_.end);
    if (add_generation_prompt) put(form_.generation_prompt, "assistant");
    return std::move(out_);
  }

private:
  std::string fill(std::string text, std::string const& role) const {
    for (auto const& [mark, token] : {std::pair{"bos", &bos_}, std::pair{"eos", &eos_}}) {
      std::string const place = "{" + std::string(mark) + "}";
      if (token->empty() && text.find(place) != text.npos)
        throw Error("chat template " + form_.name + " needs " + mark + "_token, which the tokenizer lacks",
                    "add it to tokenizer_config.json");
      text = replace_all(text, place, *token);
    }
    text = replace_all(text, "{date}", form_.date);
    text = replace_all(text, "{last_role}", form_.name_of(turns_.back().role));
    return replace_all(text, "{role}", form_.name_of(role));
  }

  void put(std::string const& text, std::string const& role = {}) { out_ += fill(text, role); }

  void put_turn(TurnForm const& form, std::string const& role, std::string_view content) {
    put(form.prefix, role);
    out_ += form.strip ? strip(content) : content;
    put(form.suffix, role);
  }

  std::string with_system(std::string_view system, std::string_view content) const {
    TurnForm const& form = form_.system->form;
    std::string merged = fill(form.prefix, "system");
    merged.append(form.strip ? strip(system) : system);
    return merged.append(fill(form.suffix, "system")).append(content);
  }

  TemplateForm const& form_;
  std::vector<Turn> const& turns_;
  std::string const& bos_;
  std::string const& eos_;
  std::string out_;
};

}  // namespace

bool is_template_date(std::string_view date) noexcept {
  constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
  if (date.size() != 11 || date[2] != ' ' || date[6] != ' ') return false;
  auto const number = [&](std::size_t at, std::size_t count) {
    int value = 0;
    for (char const digit : date.substr(at, count)) {
      if (digit < '0' || digit > '9') return -1;
      value = 10 * value + (digit - '0');
    }
    return value;
  };
  std::size_t month = 0;
  while (month < 12 && months.substr(3 * month, 3) != date.substr(3, 3)) ++month;
  int const day = number(0, 2), year = number(7, 4);
  if (month == 12 || day < 1 || year < 0) return false;
  using namespace std::chrono;
  return year_month_day(std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month) + 1),
                        std::chrono::day(static_cast<unsigned>(day)))
      .ok();
}

ChatTemplate::ChatTemplate(std::unique_ptr<TemplateForm> form) : form_(std::move(form)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

ChatTemplate ChatTemplate::load(std::string const& choice, fs::path const& tokenizer_folder, std::string const& date) {
  TemplateForm form = find_form(choice, tokenizer_folder);
  if (!date.empty()) {
    if (form.date.empty())
      throw UsageError("a date is given, and chat template " + form.name + " writes none", "leave --template-date out");
    form.date = date;
  }
  return ChatTemplate(std::make_unique<TemplateForm>(std::move(form)));
}

std::string const& ChatTemplate::name() const noexcept { return form_->name; }
TemplateUse ChatTemplate::use() const noexcept { return form_->use; }
std::string const& ChatTemplate::date() const noexcept { return form_->date; }

std::vector<std::string> ChatTemplate::marks_without_token(Tokenizer const& tokenizer) const {
  std::vector<std::string> marks;
  for (std::string const& text : form_->own_texts())
    for (std::size_t begin = 0; (begin = text.find("<|", begin)) != text.npos; begin += 2) {
      std::size_t const end = text.find("|>", begin);
      if (end == text.npos) break;
      std::string const mark = text.substr(begin, end + 2 - begin);
      bool const is_placeholder = mark.find('{') != mark.npos;
      if (!is_placeholder && std::find(marks.begin(), marks.end(), mark) == marks.end() &&
          tokenizer.encode(mark).size() != 1)
        marks.push_back(mark);
    }
  return marks;
}

std::string ChatTemplate::render(std::vector<Turn> const& turns, bool add_generation_prompt,
                                 std::string const& bos_token, std::string const& eos_token) const {
  if (turns.empty()) throw Error("a conversation without turns", "leave it out");
  std::vector<std::string> roles;
  for (Turn const& turn : turns) roles.push_back(turn.role);
  if (!form_->exact_roles.empty() && roles != form_->exact_roles)
    throw Error("chat template " + form_->name + " renders the turns " + joined(form_->exact_roles) + ", not " +
                    joined(roles),
                "give these turns, or another template");
  return Rendering(*form_, turns, bos_token, eos_token).run(add_generation_prompt);
}

}  // namespace refrain::text
