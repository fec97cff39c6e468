// SPDX-License-Identifier: MIT
#include "engine/cpu/activations.h"

#include <new>

#include "engine/cpu/isa.h"
#include "engine/cpu/panel_layout.h"

namespace engine::cpu {

const MatMulKernels& mat_mul_kernels() {
  static const std::array<const MatMulKernels*, 8> tables = {
      plain_mat_mul_kernels(),        avx2_mat_mul_kernels(),        avx_vnni_mat_mul_kernels(),
      avx512_mat_mul_kernels(),       avx512_vnni_mat_mul_kernels(), neon_mat_mul_kernels(),
      neon_dotprod_mat_mul_kernels(), neon_i8mm_mat_mul_kernels()};
  return *tables[static_cast<std::size_t>(current_isa())];
}

void AlignedBytes::Free::operator()(std::byte* bytes) const {
  ::operator delete[](bytes, std::align_val_t{64});
}

std::byte* AlignedBytes::grow(std::size_t n) {
  if (n > size_) {
    bytes_.reset();
    size_ = 0;
    bytes_.reset(static_cast<std::byte*>(::operator new[](n, std::align_val_t{64})));
    size_ = n;
  }
  return bytes_.get();
}

Activations::Activations() : forms_(std::make_unique<Forms>()) {}

Activations::~Activations() = default;

void Activations::set(const float* x, std::uint32_t n_tokens, std::uint32_t n_cols,
                      std::size_t stride) {
  x_ = x;
  n_tokens_ = n_tokens;
  n_cols_ = n_cols;
  stride_ = stride;
  for (Forms::Records& records : forms_->of) records.ready = false;
}

bool ActivationAccess::is_ready(const Activations& x, XForm form) {
  return form == XForm::f32 || x.forms_->of[static_cast<std::size_t>(form)].ready;
}

void ActivationAccess::begin(Activations* x, XForm form) {
  Activations::Forms::Records& records = x->forms_->of[static_cast<std::size_t>(form)];
  records.row_bytes = record_bytes(form, x->n_cols_);
  records.bytes.grow(records.row_bytes * x->n_tokens_);
  records.ready = true;
}

void ActivationAccess::quantize_part(const Activations& x, XForm form, std::uint32_t row,
                                     std::uint32_t first, std::uint32_t n) {
  const auto i = static_cast<std::size_t>(form);
  const Activations::Forms::Records& records = x.forms_->of[i];
  mat_mul_kernels().quantize[i](
      x.x_ + row * x.stride_ + first, n,
      records.bytes.get() + row * records.row_bytes + record_bytes(form, first));
}

const std::byte* ActivationAccess::row(const Activations& x, XForm form, std::uint32_t row) {
  if (form == XForm::f32) return reinterpret_cast<const std::byte*>(x.x_ + row * x.stride_);
  const Activations::Forms::Records& records = x.forms_->of[static_cast<std::size_t>(form)];
  return records.bytes.get() + row * records.row_bytes;
}

}  // namespace engine::cpu
