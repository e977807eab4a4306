#include "history.hpp"

namespace cuda_sim {

void history::note(extent e, bool writes, const accessor& who, const conflict& report) {
  accesses_.each_of(e, [&](extent here, std::vector<record>& records) {
    for (const record& r : records)
      if ((r.writes || writes) && !r.who.when.before(*who.known) && !who.when.before(*r.who.known)) report(r.who, r.writes, here);
    // Whatever conflicts with an access that this one follows and outdoes would conflict with this one, too.
    std::erase_if(records, [&](const record& r) { return (writes || !r.writes) && r.who.when.before(*who.known); });
    records.push_back({who, writes});
  });
}

}  // namespace cuda_sim
