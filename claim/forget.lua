-- Removes members of an index that were found to be stale, each only if it has the score with which it was found: one that
-- was marked anew since stays.
--
-- KEYS[1]            the index, a sorted set
-- ARGV[2i-1, 2i]     member i, the score it was found with
-- Returns how many were removed.
local removed = 0
for i = 1, #ARGV, 2 do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if score and tonumber(score) == tonumber(ARGV[i + 1]) then
    removed = removed + redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
return removed
