#pragma once

#include "chat_requests.hpp"
#include "source.hpp"

namespace refrain::generate {

/// What sources that answer by chat completions have in common: conversations go there, texts come back.
class ChatSource : public Source {
public:
  ChatSource(Options const& options, comm::Communicator const& world) : options_(options), world_(world) {}

  PromptForm form() const override { return PromptForm::turns; }
  h5::TokenIds token_ids() const override { return h5::TokenIds::none; }
  Json settings() const override { return chat_settings(options_); }

protected:
  Options const& options_;
  comm::Communicator const& world_;
};

}  // namespace refrain::generate
