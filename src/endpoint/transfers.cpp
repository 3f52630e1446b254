#include "transfers.hpp"

#include <refrain/base/error.hpp>
#include <refrain/base/provenance.hpp>

#include <curl/curl.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <new>
#include <unordered_map>

namespace refrain::endpoint {
namespace {

constexpr double longest_connect = 30;  // seconds

void check(CURLcode code, char const* doing) {
  if (code != CURLE_OK) throw Error(std::string("libcurl cannot ") + doing + ": " + curl_easy_strerror(code));
}
void check(CURLMcode code, char const* doing) {
  if (code != CURLM_OK) throw Error(std::string("libcurl cannot ") + doing + ": " + curl_multi_strerror(code));
}

/// libcurl's global state, from the first use to the end of the process.
void load_library() {
  struct Library {
    Library() { check(curl_global_init(CURL_GLOBAL_DEFAULT), "start"); }
    ~Library() { curl_global_cleanup(); }
  };
  static Library const library;
}

struct CloseEasy {
  void operator()(CURL* handle) const noexcept { curl_easy_cleanup(handle); }
};
struct CloseMulti {
  void operator()(CURLM* handle) const noexcept { curl_multi_cleanup(handle); }
};
struct FreeList {
  void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};
using Headers = std::unique_ptr<curl_slist, FreeList>;

void add(Headers& headers, std::string const& line) {
  curl_slist* const longer = curl_slist_append(headers.get(), line.c_str());
  if (!longer) throw std::bad_alloc();
  headers.release();
  headers.reset(longer);
}

/// Writing to a connection that was cut raises SIGPIPE, which would end the process: libcurl leaves that to its callers
/// where it is told to keep its hands off signals.
class SigpipeIgnored {
public:
  SigpipeIgnored() noexcept {
    struct sigaction ignore{};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, &before_);
  }
  ~SigpipeIgnored() { ::sigaction(SIGPIPE, &before_, nullptr); }
  SigpipeIgnored(SigpipeIgnored const&) = delete;
  SigpipeIgnored& operator=(SigpipeIgnored const&) = delete;

private:
  struct sigaction before_{};
};

struct Transfer {
  std::unique_ptr<CURL, CloseEasy> handle;
  std::size_t number;
  std::string sent;
  Reply reply;
};

std::size_t keep_body(char* data, std::size_t size, std::size_t count, void* to) noexcept {
  auto& body = static_cast<Transfer*>(to)->reply.body;
  std::size_t const bytes = size * count;
  if (bytes > most_reply_bytes - body.size()) return 0;
  try {
    body.append(data, bytes);
  } catch (std::bad_alloc const&) {
    return 0;
  }
  return bytes;
}

Delivery delivery_of(CURLcode code) {
  switch (code) {
    case CURLE_OK: return Delivery::whole;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return Delivery::unknown_host;
    case CURLE_COULDNT_CONNECT: return Delivery::no_connection;
    case CURLE_OPERATION_TIMEDOUT: return Delivery::timeout;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return Delivery::cut;
    case CURLE_SSL_CONNECT_ERROR: return Delivery::no_tls;
    case CURLE_PEER_FAILED_VERIFICATION: return Delivery::bad_certificate;
    case CURLE_WRITE_ERROR: return Delivery::too_large;  // keep_body's word
    default: return Delivery::unusable;
  }
}

template <class T>
T info(CURL* handle, CURLINFO which) {
  T value{};
  curl_easy_getinfo(handle, which, &value);
  return value;
}

std::string text_info(CURL* handle, CURLINFO which) {
  auto const* const text = info<char const*>(handle, which);
  return text ? text : "";
}

}  // namespace

struct Transfers::State {
  Url url;
  double timeout;
  SigpipeIgnored sigpipe_ignored;
  Headers headers;
  std::unique_ptr<CURLM, CloseMulti> multi;
  std::unordered_map<CURL*, std::unique_ptr<Transfer>> running;

  ~State() {
    for (auto const& [handle, transfer] : running) curl_multi_remove_handle(multi.get(), handle);
  }

  void set_up(Transfer& transfer) const;
  std::vector<Finished> take_finished();
};

void Transfers::State::set_up(Transfer& transfer) const {
  CURL* const handle = transfer.handle.get();
  auto const set = [&](CURLoption option, auto value) { check(curl_easy_setopt(handle, option, value), "be set up"); };
  auto const milliseconds = [](double seconds) { return std::max(1L, std::lround(seconds * 1000)); };
  set(CURLOPT_URL, url.completions.c_str());
  set(CURLOPT_HTTPHEADER, headers.get());
  set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(transfer.sent.size()));
  set(CURLOPT_POSTFIELDS, transfer.sent.c_str());
  set(CURLOPT_WRITEFUNCTION, &keep_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&transfer));
  set(CURLOPT_TIMEOUT_MS, milliseconds(timeout));
  set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(std::min(timeout, longest_connect)));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_FOLLOWLOCATION, 0L);
  if (url.local) set(CURLOPT_NOPROXY, "*");
#if LIBCURL_VERSION_NUM >= 0x075500
  set(CURLOPT_PROTOCOLS_STR, "http,https");
#else
  set(CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
  set(CURLOPT_QUICK_EXIT, 1L);  // a name that is still being looked up does not hold up the end
#endif
}

std::vector<Transfers::Finished> Transfers::State::take_finished() {
  std::vector<Finished> finished;
  int left = 0;
  while (CURLMsg const* const message = curl_multi_info_read(multi.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* const handle = message->easy_handle;
    CURLcode const code = message->data.result;  // the message is gone once its handle is removed
    auto node = running.extract(handle);
    curl_multi_remove_handle(multi.get(), handle);
    Reply reply = std::move(node.mapped()->reply);
    reply.delivery = delivery_of(code);
    reply.detail = curl_easy_strerror(code);
    reply.status = info<long>(handle, CURLINFO_RESPONSE_CODE);
    reply.content_type = text_info(handle, CURLINFO_CONTENT_TYPE);
    reply.redirect = text_info(handle, CURLINFO_REDIRECT_URL);
    reply.retry_after = static_cast<double>(info<curl_off_t>(handle, CURLINFO_RETRY_AFTER));
    finished.push_back({node.mapped()->number, std::move(reply)});
  }
  return finished;
}

Transfers::Transfers(Url const& url, ApiKey const& key, double timeout_seconds) {
  load_library();
  state_ = std::make_unique<State>();
  state_->url = url;
  state_->timeout = timeout_seconds;
  state_->multi.reset(curl_multi_init());
  if (!state_->multi) throw std::bad_alloc();
  add(state_->headers, "Content-Type: application/json");
  add(state_->headers, "Accept: application/json");
  add(state_->headers, "Expect:");  // else a long request waits a second for a word that few servers say
  add(state_->headers, std::string("User-Agent: refrain/") + version());
  if (key.is_set()) add(state_->headers, key.header());
}

Transfers::~Transfers() = default;

void Transfers::start(std::size_t number, std::string body) {
  auto transfer = std::make_unique<Transfer>();
  transfer->handle.reset(curl_easy_init());
  if (!transfer->handle) throw std::bad_alloc();
  transfer->number = number;
  transfer->sent = std::move(body);
  state_->set_up(*transfer);
  CURL* const handle = transfer->handle.get();
  state_->running.emplace(handle, std::move(transfer));
  if (auto const code = curl_multi_add_handle(state_->multi.get(), handle); code != CURLM_OK) {
    state_->running.erase(handle);
    check(code, "start a request");
  }
}

std::size_t Transfers::running() const noexcept { return state_->running.size(); }

std::vector<Transfers::Finished> Transfers::wait(double seconds) {
  int running = 0;
  check(curl_multi_perform(state_->multi.get(), &running), "go on");
  auto finished = state_->take_finished();
  if (!finished.empty()) return finished;
  auto const milliseconds = static_cast<int>(std::ceil(std::max(seconds, 0.0) * 1000));
  check(curl_multi_poll(state_->multi.get(), nullptr, 0, milliseconds, nullptr), "wait");
  check(curl_multi_perform(state_->multi.get(), &running), "go on");
  return state_->take_finished();
}

}  // namespace refrain::endpoint
