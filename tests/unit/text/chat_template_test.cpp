#include "fixtures.hpp"
#include "small_tokenizers.hpp"

#include <refrain/text/chat_template.hpp>
#include <refrain/text/template_text.hpp>
#include <refrain/text/tokenizer.hpp>

#include <catch2/catch.hpp>

#include <functional>

using namespace refrain;
using namespace refrain::text;
using namespace refrain::testing;

namespace {

ChatTemplate family(std::string const& name) { return ChatTemplate::load(name, "unused"); }

std::string const families = "chatml, llama-2, llama-3, llama-3.1, llama-3.2, llama-guard-3, polyguard, qwen2, qwen2.5";

Json const own_form = {
    {"name", "mine"},
    {"begin", "{bos}"},
    {"system", {{"place", "turn"}, {"prefix", "S:"}, {"suffix", ";"}, {"strip", false}, {"default", "none"}}},
    {"turns",
     {{"user", {{"prefix", "{role}:"}, {"suffix", "{eos}"}, {"strip", true}}},
      {"*", {{"prefix", "<{role}>"}, {"strip", false}}}}},
    {"generation_prompt", "assistant:"}};

}  // namespace

TEST_CASE("llama-3") {
  ChatTemplate const chat = family("llama-3");
  CHECK(chat.render({{"system", " be kind\n"}, {"user", "\xC2\xA0hi "}}, true, "<B>", "<E>") ==
        "<B><|start_header_id|>system<|end_header_id|>\n\nbe kind<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n");
  CHECK(chat.render({{"assistant", ""}}, false, "<B>", "") ==
        "<B><|start_header_id|>assistant<|end_header_id|>\n\n<|eot_id|>");
  CHECK(chat.render({{"user", "{role}{bos}"}}, false, "<B>", "") ==
        "<B><|start_header_id|>user<|end_header_id|>\n\n{role}{bos}<|eot_id|>");
}

TEST_CASE("marks that a tokenizer has no token for") {
  TemporaryFolder const folder;
  Json tokenizer = byte_level_json({});
  tokenizer["added_tokens"].push_back({{"id", 256}, {"content", "<|im_start|>"}, {"special", true}});
  folder.write_json("tokenizer.json", tokenizer);
  Tokenizer const has_one = Tokenizer::load(folder.path);
  using Marks = std::vector<std::string>;
  CHECK(family("qwen2").marks_without_token(has_one) == Marks{"<|im_end|>"});
  CHECK(family("llama-2").marks_without_token(has_one).empty());
  CHECK(family("llama-3").marks_without_token(has_one) ==
        Marks{"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"});
  // Of a turn's role where the template names it; what any role writes is not known.
  Json form = own_form;
  form["turns"]["user"]["prefix"] = "<|{role}|><|im_start|>";
  form["turns"]["*"]["prefix"] = "<|{role}|>";
  auto const mine = folder.write_json("mine.json", form).string();
  CHECK(ChatTemplate::load(mine, "unused").marks_without_token(has_one) == Marks{"<|user|>"});
}

TEST_CASE("llama-3.1 always begins with a system turn") {
  std::string const begin = "<B><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December "
                            "2023\nToday Date: 26 Jul 2024\n\n";
  std::string const user = "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>";
  CHECK(family("llama-3.1").render({{"user", "hi"}}, false, "<B>", "") == begin + user);
  CHECK(family("llama-3.1").render({{"system", " s "}, {"user", "hi"}}, false, "<B>", "") == begin + "s" + user);
}

TEST_CASE("llama-3.2 writes a day") {
  auto const begin = [](std::string const& day) {
    return "<B><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: " +
           day + "\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>";
  };
  CHECK(family("llama-3.2").date() == "26 Jul 2024");
  CHECK(family("llama-3.2").render({{"user", "hi"}}, false, "<B>", "") == begin("26 Jul 2024"));
  ChatTemplate const dated = ChatTemplate::load("llama-3.2", "unused", "29 Feb 2028");
  CHECK(dated.render({{"user", "hi"}}, false, "<B>", "") == begin("29 Feb 2028"));
  CHECK(family("llama-3.1").date().empty());
  CHECK(message_of([] { ChatTemplate::load("llama-3", "unused", "01 Jan 2025"); }) ==
        "a date is given, and chat template llama-3 writes none (leave --template-date out)");
}

TEST_CASE("days as templates write them") {
  for (char const* day : {"26 Jul 2024", "01 Jan 2025", "29 Feb 2028", "31 Dec 1999"}) CHECK(is_template_date(day));
  for (char const* other : {"", "26 July 2024", "2024-07-26", "30 Feb 2024", "29 Feb 2025", "00 Jan 2025", "1 Jan 2025",
                            "01 jan 2025", "01 Jan 20a5", "01 Jan 2025 ", "01 anF 2025"})
    CHECK_FALSE(is_template_date(other));
}

TEST_CASE("ChatML and what Qwen makes of it") {
  std::string const user = "<|im_start|>user\n hi <|im_end|>\n";
  auto const system = [](std::string const& text) { return "<|im_start|>system\n" + text + "<|im_end|>\n"; };
  std::string const qwen = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";
  CHECK(family("chatml").render({{"user", " hi "}}, true, "", "") == user + "<|im_start|>assistant\n");
  CHECK(family("qwen2").render({{"user", " hi "}}, false, "", "") == system("You are a helpful assistant.") + user);
  CHECK(family("qwen2.5").render({{"user", " hi "}}, false, "", "") == system(qwen) + user);
  for (char const* name : {"chatml", "qwen2", "qwen2.5"})
    CHECK(family(name).render({{"system", " s"}, {"user", " hi "}}, false, "", "") == system(" s") + user);
  CHECK(problem_of([] { family("qwen2.5").render({{"user", "a"}, {"tool", "b"}}, false, "", ""); }) ==
        "chat template qwen2.5 has no form for a turn of role 'tool'");
}

TEST_CASE("llama-2") {
  ChatTemplate const chat = family("llama-2");
  CHECK(chat.render({{"system", " s "}, {"user", " a "}, {"assistant", " b\n"}, {"user", "c"}}, true, "<s>", "</s>") ==
        "<s>[INST] <<SYS>>\n s \n<</SYS>>\n\n a [/INST] b </s><s>[INST] c [/INST]");
  CHECK(message_of([&] { chat.render({{"user", "a"}, {"user", "b"}}, false, "<s>", "</s>"); }) ==
        "roles do not alternate: turn 2 is of role 'user' (chat template llama-2 wants user, assistant, user, ... "
        "behind a "
        "system turn)");
  CHECK(message_of([&] { chat.render({{"user", "a"}}, false, "", "</s>"); }) ==
        "chat template llama-2 needs bos_token, which the tokenizer lacks (add it to tokenizer_config.json)");
  CHECK(message_of([&] { chat.render({}, false, "<s>", "</s>"); }) == "a conversation without turns (leave it out)");
}

TEST_CASE("a user's own form") {
  TemporaryFolder const folder;
  folder.write_json("mine.json", own_form);
  ChatTemplate const chat = ChatTemplate::load((folder.path / "mine.json").string(), folder.path);
  CHECK(chat.name() == "mine");
  CHECK(chat.render({{"user", " a "}, {"tool", " b "}}, true, "<B>", "<E>") ==
        "<B>S:none;user:a<E><tool> b assistant:");
  CHECK(chat.render({{"system", " s"}, {"user", "a"}}, false, "<B>", "<E>") == "<B>S: s;user:a<E>");
  CHECK(chat.use() == TemplateUse::chat);
}

TEST_CASE("a user's own guard, with names for the roles and lists of lines") {
  TemporaryFolder const folder;
  folder.write_json("guard.json", {{"name", "mine"},
                                   {"use", "guard"},
                                   {"begin", "{bos}"},
                                   {"policy", {"Judge {last_role}.", "S17: restricted activity 17", ""}},
                                   {"date", "01 Jan 2025"},
                                   {"role_names", {{"user", "Person"}, {"assistant", "Machine"}}},
                                   {"turns", {{"*", {{"prefix", "{role}> "}, {"suffix", "\n"}, {"strip", true}}}}},
                                   {"end", "{date}: was {last_role} safe?"}});
  ChatTemplate const guard = ChatTemplate::load((folder.path / "guard.json").string(), folder.path);
  CHECK(guard.use() == TemplateUse::guard);
  CHECK(guard.render({{"user", " a{role} "}}, false, "<B>", "") ==
        "<B>Judge Person.\nS17: restricted activity 17\nPerson> a{role}\n01 Jan 2025: was Person safe?");
  CHECK(guard.render({{"user", "a"}, {"assistant", "b"}}, true, "<B>", "") ==
        "<B>Judge Machine.\nS17: restricted activity 17\nPerson> a\nMachine> b\n01 Jan 2025: was Machine safe?");
}

TEST_CASE("a misspelt form is an error") {
  TemporaryFolder const folder;
  auto const load_with = [&](std::function<void(Json&)> const& change) {
    Json form = own_form;
    change(form);
    folder.write_json("mine.json", form);
    return message_of([&] { ChatTemplate::load((folder.path / "mine.json").string(), folder.path); });
  };
  CHECK(load_with([](Json& form) { form["sytem"] = 1; }).find("a chat template has no 'sytem' in 'template' [") == 0);
  CHECK(load_with([](Json& form) {
          form["turns"]["user"]["sufix"] = "";
        }).find("a chat template has no 'sufix' in 'turns.user' [") == 0);
  CHECK(load_with([](Json& form) { form["turns"]["user"].erase("strip"); }).find("'strip' is missing") == 0);
  CHECK(load_with([](Json& form) { form["system"]["place"] = "last"; }).find("'place' is 'last', should be") == 0);
  CHECK(load_with([](Json& form) { form["turns"] = Json::object(); }).find("'turns' should name at least one role") ==
        0);
  CHECK(load_with([](Json& form) { form["use"] = "judge"; }).find("'use' is 'judge', should be chat or guard [") == 0);
  CHECK(load_with([](Json& form) { form["begin"] = Json{"a", 1}; }).find("'begin' is a list, should be a list of") ==
        0);
  CHECK(load_with([](Json& form) { form["date"] = "today"; }).find("'date' is 'today', not a day like 26 Jul 2024 [") ==
        0);
  CHECK(load_with([](Json& form) {
          form["date"] = "26 Jul 2024";
        }).find("there is a 'date', and {date} is written nowhere [") == 0);
  CHECK(load_with([](Json& form) { form["end"] = "{date}"; }).find("{date} is written, and there is no 'date' [") == 0);
  CHECK(load_with([](Json& form) {
          form["stands_for"] = Json::array({{{"digest", "0"}, {"form", 1}}});
        }).find("a chat template has no 'form' in 'stands_for' [") == 0);
}

TEST_CASE("auto wants a template that is known") {
  TemporaryFolder const folder;
  CHECK(message_of([&] { ChatTemplate::load("auto", folder.path); }) ==
        "the model has no chat template [" + folder.path.string() +
            "] (name one of the same form with --chat-template NAME|FILE.json; NAME is one of " + families + ")");
  folder.write_json("tokenizer_config.json", {{"chat_template", "{{ messages }}"}});
  CHECK(message_of([&] { ChatTemplate::load("auto", folder.path); }).find(") is none that is known [") !=
        std::string::npos);
  CHECK(message_of([] { ChatTemplate::load("lama-3", "x"); }) ==
        "there is no chat template 'lama-3' (--chat-template takes auto, one of " + families + ", or a JSON file)");
}

TEST_CASE("the model's own template text") {
  TemporaryFolder const folder;
  CHECK(read_template_text(folder.path).text.empty());
  folder.write_json(
      "tokenizer_config.json",
      {{"chat_template", {{{"name", "tool_use"}, {"template", "t"}}, {{"name", "default"}, {"template", "d"}}}}});
  CHECK(read_template_text(folder.path).text == "d");
  folder.write("chat_template.jinja", "file");
  CHECK(read_template_text(folder.path).text == "file");
}

TEST_CASE("a template's digest sees what Jinja sees") {
  std::string const one = "{% if a %}x\n{{ '<s>\\n' + b }}{% endif %}";
  for (char const* same : {"{%  if a\n%}x\n{{ '<s>\\n' + b }}{% endif %}\n", "{%if a%}x\r\n{{'<s>\n' + b}}{%endif%}"})
    CHECK(template_digest(same) == template_digest(one));
  for (char const* other :
       {"{%- if a %}x\n{{ '<s>\\n' + b }}{% endif %}", "{% if a %}x \n{{ '<s>\\n' + b }}{% endif %}",
        "{% if a %}x\n{{ '<s> \\n' + b }}{% endif %}", "{% if a %}x\n{{ '<s>\\n' + b }}{% endif %}\n\n",
        "{% if a %}x\n{{ '<s>\\t' + b }}{% endif %}"})
    CHECK(template_digest(other) != template_digest(one));
  CHECK(template_digest("{# why #}a") == template_digest("{# because #}a"));
  CHECK(template_digest("{#- why #}a") != template_digest("{# why #}a"));
}
