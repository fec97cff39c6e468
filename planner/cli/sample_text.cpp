// SPDX-License-Identifier: MIT
#include "planner/cli/sample_text.h"

namespace cli {
namespace {

constexpr std::string_view kText =
    R"text(The harbour master kept two books. In the first one he wrote down what came in: the name of the ship, where she was from, how deep she lay in the water, and what she carried. In the second one he wrote what he thought about it. Nobody but his daughter ever read the second book, and she read it only once, in the winter after he had died, when the snow lay so high before the door that there was nothing else to do.

"Tenth of March," it said there. "The Anna Maria, with timber. Her captain says that the ice in the north is breaking early this year. He says so every year. I have looked it up: of the last twelve times he was right four times, which is less than a coin would have managed. And yet I always believe him while he is standing in front of me."

She laughed when she came to that line, because she remembered the captain very well. He was a tall man with a grey beard who brought her an orange whenever he came, and who could not tell a short story. By the time he had come to the end of one, the soup was cold and her mother had begun to wash the plates.

A heat pump moves heat from a cold place to a warm one. That sounds as if it were against the order of things, but a refrigerator does the same all day. The trick is a liquid that boils at a low temperature. Outside the house it takes up heat and becomes a vapour; a compressor squeezes the vapour, which makes it hot; inside the house it gives the heat away and becomes a liquid again; and a narrow valve lets it back to the low pressure at which it started. For each kilowatt hour of electricity such a machine delivers between two and five kilowatt hours of heat. How many depends on the difference between the two temperatures: the smaller it is, the better. That is why floors, which are large and need to be only a little warmer than the room, suit a heat pump so much better than small radiators do.

To cook rice for four people, wash 300 grams of rice until the water stays clear, and let it drain. Melt a spoon of butter in a pot, add the rice, and stir for two minutes. Pour in 450 millilitres of water and half a teaspoon of salt. When it boils, turn the heat as low as it goes, put the lid on, and do not lift it for fifteen minutes. Then take the pot from the stove and let it stand for another ten. If there is water left, it was too much; if the bottom is brown, it was too little, or the heat was too high.

Here is a function that finds the place of a value in a sorted list:

def find(values, wanted):
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    if low < len(values) and values[low] == wanted:
        return low
    return None

It looks at the middle of what is left and throws one half away. A list of a thousand values takes ten steps, a list of a million takes twenty. Note that it returns the first of several equal values, and None when there is none at all. The list must be sorted; if it is not, the function still ends, but what it returns means nothing.

The same in C, where the caller says how long the list is:

int find(const int *values, int n, int wanted) {
  int low = 0, high = n;
  while (low < high) {
    int middle = low + (high - low) / 2;
    if (values[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low < n && values[low] == wanted ? low : -1;
}

Some questions and their answers. What is the capital of Norway? Oslo. How many legs does a spider have? Eight. Which is heavier, a kilogram of feathers or a kilogram of lead? They weigh the same. If a train leaves at 9:40 and needs 95 minutes, when does it arrive? At 11:15. What is 17 times 6? It is 102. What comes next: 1, 1, 2, 3, 5, 8? The next number is 13, because each number is the sum of the two before it.

There are three ways from the village to the lake. The road is the longest, eleven kilometres, but it is flat and has an inn half way. The path through the forest is shorter by four kilometres; in spring, when the stream is high, it cannot be used below the old mill. The third way goes over the ridge. It is steep on both sides and there is no water on it, and still most people who have once gone that way go no other, since from the top one sees the lake, the village, and on clear days, far behind them, the sea.

Dear Ms. Okafor, thank you for your letter of 3 May. We have looked into the matter. The part that you ordered was sent on 21 April, but to your old address; the parcel has come back to us and was sent again this morning. You will not be charged for the second delivery. We are sorry for the delay, and have corrected the address in our files. If the part has not arrived by Friday, please call us at once, and we will bring it to you ourselves. Yours sincerely, the spare parts department.

When people say that a memory is fast they may mean two things. One is how long it takes until the first byte arrives; the other is how many bytes arrive in each second once they have begun to flow. A long pipe with a wide mouth can be slow in the first sense and fast in the second. A program that reads a large table from its beginning to its end cares about the second; a program that follows a chain of references, each of which says where the next one is, cares about the first. Most programs do some of both, and which of the two one should improve can only be found out by measuring.

In the evening the wind turned. The boats came in one after the other, the small ones first, and the men tied them up without a word. The old woman on the bench counted them, as she had done every evening for forty years. "Nine," she said, and after a while: "Ten." Then she got up, took her stick, and went home, for there were ten of them, and all was well.
)text";

}  // namespace

std::string_view sample_text() {
  return kText;
}

}  // namespace cli
