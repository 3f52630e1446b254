#pragma once

#include <refrain/text/chat_template.hpp>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace refrain::text {

/// How one turn is written; placeholders may stand in prefix and suffix.
struct TurnForm {
  std::string prefix, suffix;
  bool strip = false;
};

/// Where the system text goes.
enum class SystemPlace {
  turn,        ///< a turn of its own, first
  first_turn,  ///< into the first turn's text, before that is stripped
};

struct SystemForm {
  TurnForm form;
  SystemPlace place = SystemPlace::turn;
  std::optional<std::string> fallback;  ///< the text where the caller gives none; without it nothing is written then
};

/// A chat template file: what docs/chat-templates.md says of its keys.
struct TemplateForm {
  std::string name;
  TemplateUse use = TemplateUse::chat;
  std::string begin, policy, end, generation_prompt;
  std::string date;  ///< as {date} is written; "" where it is not
  std::optional<SystemForm> system;
  std::map<std::string, TurnForm> turns;          ///< by role; "*" for every other role
  std::map<std::string, std::string> role_names;  ///< what is written for a role, where that is another word
  std::vector<std::string> refused_roles, exact_roles;
  bool alternate = false;
  bool stands_for_text = false;  ///< the digest asked for is of a template that it stands for
  bool has_variants = false;     ///< the templates that it stands for do not all write the same

  /// @param digest of the model's own template text (template_digest), or ""; where the file says that the template of
  /// that digest differs from the others of its family, that is applied
  /// @throws Error naming file and key
  static TemplateForm read(std::filesystem::path const& path, std::string const& digest);

  /// All that it writes beside what turns say, with {role} filled in but for turns of any role.
  std::vector<std::string> own_texts() const;
  /// The form of a turn, never of a system turn that `system` writes. @throws Error for a role that has none
  TurnForm const& form_of(std::string const& role) const;
  /// What {role} stands for.
  std::string const& name_of(std::string const& role) const;
};

}  // namespace refrain::text
