#include "engine/prefix_cache.h"

#include "base/error.h"

#include <algorithm>
#include <utility>

namespace cria::engine {
namespace {

constexpr auto kPage = static_cast<size_t>(ml::kPageTokens);

int64_t common_prefix(std::span<const TokenId> a, std::span<const TokenId> b) {
  const auto end = std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first;
  return end - a.begin();
}

std::vector<TokenId> slice(std::span<const TokenId> tokens, size_t first) {
  const auto part = tokens.subspan(first, std::min(kPage, tokens.size() - first));
  return {part.begin(), part.end()};
}

}  // namespace

PrefixCache::PrefixCache(PagePool& pool) : pool_(pool) {}

PrefixCache::~PrefixCache() {
  while (!root_.children.empty()) remove(*root_.children.begin()->second);
}

void PrefixCache::touch(Node& node) {
  by_use_.erase(node.used);
  node.used = ++clock_;
  by_use_[node.used] = &node;
}

PrefixCache::Node& PrefixCache::add(Node& parent, std::vector<TokenId> tokens, int32_t page) {
  auto node = std::make_unique<Node>();
  Node& added = *node;
  added.parent = &parent;
  added.page = page;
  added.place = parent.children.emplace(std::move(tokens), std::move(node)).first;
  pool_.retain(page);
  by_page_[page] = &added;
  touch(added);
  return added;
}

void PrefixCache::remove(Node& node) {
  // Top down without recursion: a long conversation is a deep tree.
  std::vector<std::unique_ptr<Node>> doomed;
  Children& siblings = node.parent->children;
  const auto place = node.place;
  doomed.push_back(std::move(place->second));
  siblings.erase(place);
  while (!doomed.empty()) {
    const std::unique_ptr<Node> next = std::move(doomed.back());
    doomed.pop_back();
    for (auto& [tokens, child] : next->children) doomed.push_back(std::move(child));
    by_use_.erase(next->used);
    by_page_.erase(next->page);
    pool_.release(next->page);
  }
}

PrefixMatch PrefixCache::match(std::span<const TokenId> tokens) {
  PrefixMatch out;
  Node* node = &root_;
  size_t done = 0;
  for (; tokens.size() - done >= kPage; done += kPage) {
    const auto child = node->children.find(slice(tokens, done));
    if (child == node->children.end()) break;
    node = child->second.get();
    touch(*node);
    pool_.retain(node->page);
    out.pages.push_back(node->page);
  }
  // In the order of tokens the best partial match is a neighbour of where the rest would stand.
  const std::span<const TokenId> rest = tokens.subspan(done, std::min(kPage, tokens.size() - done));
  const auto here = node->children.lower_bound({rest.begin(), rest.end()});
  Node* best = nullptr;
  const auto consider = [&](Children::iterator child) {
    const int64_t common = common_prefix(child->first, rest);
    if (common <= out.partial_tokens) return;
    out.partial_tokens = common;
    best = child->second.get();
  };
  if (here != node->children.end()) consider(here);
  if (here != node->children.begin()) consider(std::prev(here));
  if (best != nullptr) {
    touch(*best);
    pool_.retain(best->page);
    out.partial = best->page;
  }
  return out;
}

void PrefixCache::insert(std::span<const TokenId> tokens, std::span<int32_t> pages) {
  CRIA_CHECK(pages.size() * kPage >= tokens.size(), "the pages cover the tokens");
  Node* node = &root_;
  size_t index = 0;
  for (size_t done = 0; done < tokens.size(); done += kPage, ++index) {
    std::vector<TokenId> key = slice(tokens, done);
    const bool full = key.size() == kPage;
    auto place = node->children.lower_bound(key);
    if (place != node->children.end() && place->first == key) {
      Node& known = *place->second;
      touch(known);
      if (full && known.page != pages[index]) {
        pool_.retain(known.page);
        pool_.release(std::exchange(pages[index], known.page));
      }
      node = &known;
      continue;
    }
    // A part-full page that something longer contains adds nothing.
    if (place != node->children.end() && common_prefix(key, place->first) == std::ssize(key))
      return;
    if (place != node->children.begin()) {
      Node& shorter = *std::prev(place)->second;
      const auto& spelled = std::prev(place)->first;
      if (spelled.size() < kPage && common_prefix(spelled, key) == std::ssize(spelled))
        remove(shorter);
    }
    // Partial sequences of one page cannot stand in the tree twice.
    if (const auto held = by_page_.find(pages[index]); held != by_page_.end())
      remove(*held->second);
    node = &add(*node, std::move(key), pages[index]);
  }
}

bool PrefixCache::evict() {
  for (const auto& [used, node] : by_use_) {
    if (!node->children.empty() || pool_.holders(node->page) > 1) continue;
    remove(*node);
    return true;
  }
  return false;
}

int64_t PrefixCache::evictable() const {
  return std::ranges::count_if(by_page_,
                               [&](const auto& entry) { return pool_.holders(entry.first) == 1; });
}

void PrefixCache::visit(const Visit& see) const {
  std::vector<const Node*> open = {&root_};
  while (!open.empty()) {
    const Node& node = *open.back();
    open.pop_back();
    for (const auto& [tokens, child] : node.children) {
      see(child->page, node.page, tokens);
      open.push_back(child.get());
    }
  }
}

void PrefixCache::forget(std::span<const int32_t> pages) {
  for (const int32_t page : pages)
    if (const auto held = by_page_.find(page); held != by_page_.end()) remove(*held->second);
}

}  // namespace cria::engine
