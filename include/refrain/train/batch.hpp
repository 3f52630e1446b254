#pragma once

#include <refrain/h5/pairs_file.hpp>
#include <refrain/model/packed_batch.hpp>
#include <refrain/train/plan.hpp>

namespace refrain::train {

/// The lengths that planning needs.
PairLengths lengths_of(h5::Pairs const& pairs);

/// Packs the answers of a micro-batch one behind the other. Answer 2 i is the i-th pair's chosen one, 2 i + 1 its
/// rejected one (with Answers::chosen, i). With Answers::both a pair is two segments: prompt and chosen answer, and the
/// rejected answer, whose prefix is the prompt; the prompt's last row predicts the first token of both. (A chosen
/// answer that continues its prompt in one causal segment is faster than a third segment: one attention call less.)
/// Otherwise each answer is one segment with its prompt. The last token of an answer predicts nothing and is left out.
/// `tensor_size`: the number of tokens is rounded up to a multiple of it by a dummy segment that no row reads.
model::PackedBatch pack(h5::Pairs const& pairs, MicroBatch const& micro_batch, Answers answers, int tensor_size);

}  // namespace refrain::train
