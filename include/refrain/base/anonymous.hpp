#pragma once

#include <refrain/base/json_file.hpp>

namespace refrain {

/// A provenance, or another record of ours, without what names people, places or jobs: keys such as `host`, and every
/// value that is or may be a path or an address, which becomes "(left out)". Digests of files stay, under numbers.
Json anonymised(Json const& record);

}  // namespace refrain
