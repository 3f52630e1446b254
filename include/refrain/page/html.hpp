#pragma once

#include <refrain/page/drawing.hpp>

#include <string>

/// What pages of HTML have in common: they need nothing else, no script, no file, no network.
namespace refrain::page {

/// From the doctype to the end of the page's header, with the style of all pages. What follows holds an element with
/// the id "content", where keyboard users may skip to, and ends with `html_end`.
std::string html_begin(std::string const& title);
std::string html_end();

}  // namespace refrain::page
