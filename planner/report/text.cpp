// SPDX-License-Identifier: MIT
#include <algorithm>
#include <string>
#include <vector>

#include "planner/report/escape.h"
#include "planner/report/report.h"

namespace report {
namespace {

constexpr std::string_view kIndent = "  ";
constexpr std::size_t kGap = 2;        // between table columns
constexpr std::size_t kMinColumn = 8;  // a left column is not cut below this
constexpr std::size_t kMinWords = 24;  // nor one of sentences, before it is dropped

class TextRenderer {
 public:
  explicit TextRenderer(const TextOptions& options)
      : width_(std::max<std::size_t>(options.width, 20)), color_(options.color) {}

  std::string render(const Report& report) {
    std::string page;
    for (const Section& section : report.sections) {
      out_.clear();
      render(section);
      if (!page.empty() && !out_.empty()) page += '\n';
      page += out_;
    }
    return page;
  }

 private:
  std::string toned(std::string text, Tone tone) const {
    if (!color_ || tone == Tone::plain || text.empty()) return text;
    const char* code = tone == Tone::strong ? "1"
                       : tone == Tone::good ? "32"
                       : tone == Tone::warn ? "33"
                       : tone == Tone::bad  ? "31"
                                            : "2";
    return "\x1b[" + std::string(code) + "m" + text + "\x1b[0m";
  }

  /// Escaped text in lines of the page's width; the first starts with `first`, the others with as
  /// many blanks as `hang`.
  void wrap(std::string_view text, std::string_view first, std::size_t hang, Tone tone) {
    std::string line(first);
    std::size_t used = display_width(line);
    bool empty = true;
    std::string words;
    const auto flush = [&] {
      out_ += line + toned(words, tone) + '\n';
      line.assign(hang, ' ');
      used = hang;
      words.clear();
      empty = true;
    };
    const std::string safe = escape_terminal(text);
    for (std::size_t i = 0; i < safe.size();) {
      const std::size_t end = std::min(safe.find(' ', i), safe.size());
      const std::string_view word = std::string_view(safe).substr(i, end - i);
      const std::size_t width = display_width(word);
      if (!empty && used + 1 + width > width_) flush();
      if (!empty) words += ' ';
      used += width + (empty ? 0 : 1);
      words += word;
      empty = false;
      i = end + 1;
    }
    flush();
  }

  void render(const Section& section) {
    const std::string_view indent = section.title.empty() ? "" : kIndent;
    if (!section.title.empty()) wrap(section.title, "", 0, Tone::strong);
    for (const Cell& sentence : section.sentences) {
      wrap(sentence.text, indent, indent.size(), sentence.tone);
    }
    render_lines(section.lines, indent);
    const bool has_lines = std::ranges::any_of(section.lines, [](const Line& line) {
      return !line.label.empty() || !line.cell.text.empty();
    });
    bool separate = has_lines || !section.sentences.empty();
    for (const Table& table : section.tables) {
      const bool shown = std::ranges::any_of(
          table.columns, [](const Column& column) { return !column.title.empty(); });
      if (table.rows.empty() || !shown) continue;
      if (separate) out_ += '\n';
      render(table, indent);
      separate = true;
    }
    for (const Command& command : section.commands) {
      if (!command.label.empty()) wrap(command.label, indent, indent.size(), Tone::dim);
      out_ += std::string(indent) + (command.label.empty() ? "" : "  ") +
              toned(escape_terminal(command.text), Tone::strong) + '\n';
    }
    for (const std::string& note : section.notes) {
      wrap(note, std::string(indent) + "- ", indent.size() + 2, Tone::plain);
    }
  }

  void render_lines(const std::vector<Line>& lines, std::string_view indent) {
    std::size_t label_width = 0;
    for (const Line& line : lines) {
      label_width = std::max(label_width, display_width(escape_terminal(line.label)));
    }
    label_width = std::min(label_width, width_ / 2);
    for (const Line& line : lines) {
      if (line.label.empty() && line.cell.text.empty()) continue;
      const std::string label = cut_to_width(escape_terminal(line.label), label_width);
      const std::string first =
          std::string(indent) + label + std::string(label_width - display_width(label) + kGap, ' ');
      wrap(line.cell.text, first, indent.size() + label_width + kGap, line.cell.tone);
    }
  }

  struct Layout {
    std::vector<std::size_t> shown, widths;  // indices of columns, and width by index
    std::vector<std::string> dropped;        // titles
  };

  Layout lay_out(const Table& table, const std::vector<std::vector<std::string>>& cells,
                 std::size_t room) const {
    Layout layout;
    layout.widths.resize(table.columns.size());
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      const Column& column = table.columns[i];
      if (column.title.empty()) continue;
      layout.shown.push_back(i);
      layout.widths[i] = std::max(display_width(column.title), display_width(column.unit));
      for (const auto& row : cells) {
        layout.widths[i] = std::max(layout.widths[i], display_width(row[i]));
      }
    }
    const auto total = [&] {
      std::size_t sum = layout.shown.empty() ? 0 : (layout.shown.size() - 1) * kGap;
      for (const std::size_t i : layout.shown) sum += layout.widths[i];
      return sum;
    };
    while (total() > room) {
      // A column of words is cut before it is dropped, down to half of its width.
      const auto worst = std::ranges::max_element(
          layout.shown, {}, [&](std::size_t i) { return table.columns[i].priority; });
      if (worst == layout.shown.end() || table.columns[*worst].priority == 0) break;
      const std::size_t index = *worst;
      const std::size_t over = total() - room;
      std::size_t& width = layout.widths[index];
      const std::size_t least = std::max(
          {kMinColumn, std::min(width / 2, kMinWords), display_width(table.columns[index].title)});
      if (table.columns[index].align == Align::left && width >= over + least) {
        width -= over;
        break;
      }
      layout.dropped.push_back(table.columns[index].title);
      layout.shown.erase(worst);
    }
    // What is left are columns that must stay: the widest words give way.
    while (total() > room) {
      std::size_t widest = table.columns.size();
      for (const std::size_t i : layout.shown) {
        if (table.columns[i].align == Align::left && layout.widths[i] > kMinColumn &&
            (widest == table.columns.size() || layout.widths[i] > layout.widths[widest])) {
          widest = i;
        }
      }
      if (widest == table.columns.size()) break;
      --layout.widths[widest];
    }
    return layout;
  }

  void put_row(const Table& table, const Layout& layout, std::string_view indent,
               const std::vector<std::string>& texts, const std::vector<Tone>& tones) {
    std::string line(indent);
    std::string blanks;
    for (const std::size_t i : layout.shown) {
      const std::string text = cut_to_width(texts[i], layout.widths[i]);
      const std::string pad(layout.widths[i] - display_width(text), ' ');
      const bool right = table.columns[i].align == Align::right;
      if (right) blanks += pad;
      // Blanks are held back until something follows them: no line ends in blanks.
      if (!text.empty()) {
        line += blanks + toned(text, tones[i]);
        blanks.clear();
      }
      if (!right) blanks += pad;
      blanks.append(kGap, ' ');
    }
    out_ += line + '\n';
  }

  void render(const Table& table, std::string_view indent) {
    std::vector<std::vector<std::string>> cells;
    for (const auto& row : table.rows) {
      auto& texts = cells.emplace_back();
      for (const Cell& cell : row) texts.push_back(escape_terminal(cell.text));
    }
    const Layout layout = lay_out(table, cells, width_ - indent.size());
    std::vector<std::string> titles, units;
    for (const Column& column : table.columns) {
      titles.push_back(column.title);
      units.push_back(column.unit);
    }
    const std::vector<Tone> strong(titles.size(), Tone::strong), dim(titles.size(), Tone::dim);
    put_row(table, layout, indent, titles, strong);
    const bool has_units =
        std::ranges::any_of(layout.shown, [&](std::size_t i) { return !units[i].empty(); });
    if (has_units) put_row(table, layout, indent, units, dim);
    for (std::size_t r = 0; r < cells.size(); ++r) {
      std::vector<Tone> tones;
      for (const Cell& cell : table.rows[r]) tones.push_back(cell.tone);
      put_row(table, layout, indent, cells[r], tones);
    }
    if (!layout.dropped.empty()) {
      std::string names;
      for (const std::string& name : layout.dropped) names += (names.empty() ? "" : ", ") + name;
      wrap("(too narrow for: " + names + ")", indent, indent.size(), Tone::dim);
    }
  }

  std::size_t width_;
  bool color_;
  std::string out_;
};

}  // namespace

std::string render_text(const Report& report, const TextOptions& options) {
  return TextRenderer(options).render(report);
}

}  // namespace report
