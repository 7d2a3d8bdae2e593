-- Replaces claims, each only if it is what the caller believes it to be.
--
-- KEYS[1..n]     claims; all of one hash tag on a cluster
-- KEYS[n+1]      counters of this minute, a hash
-- KEYS[n+2...]   details of claims
-- ARGV[1..4]     n, expiry of the counters in seconds, '1' if a claim may be there twice, and m, the number of runs that
--                follow: claims in a row that have all of these in common
-- m times        the text expected ('' for none), the text to write, its expiry in ms, the counter's field that it counts
--                for ('' for none), and how many claims they are
-- then           for each of the details: the index of its claim, the text to write with the claim's expiry
-- Returns a flat list, index and text ('' for none), of the claims found that were left as they are. A claim that is
-- already there as it was to be written was written, counted and detailed by an earlier try of this call, whose reply was
-- lost; only its expiry is set anew.
local call, keys, argv = redis.call, KEYS, ARGV
local n, m = tonumber(argv[1]), tonumber(argv[4])
local now = argv[3] == '1' and {} -- what was written, where it may be looked at again
local found = call('MGET', unpack(keys, 1, n))
local left, expiry = {}, {}
local i = 0
for r = 1, m do
  local at = 5 * r
  local expect, claim, px, field, count = argv[at], argv[at + 1], argv[at + 2], argv[at + 3], 0
  for _ = 1, tonumber(argv[at + 4]) do
    i = i + 1
    local was = now and now[keys[i]] or found[i] or ''
    if was == claim then
      call('PEXPIRE', keys[i], px)
    elseif was == expect then
      call('SET', keys[i], claim, 'PX', px)
      count = count + 1
      if now then now[keys[i]] = claim end
      expiry[i] = px
    else
      left[#left + 1] = i
      left[#left + 1] = was
    end
  end
  if field ~= '' and count > 0 then
    call('HINCRBY', keys[n + 1], field, count)
    call('EXPIRE', keys[n + 1], argv[2])
  end
end
local at = 5 + 5 * m
for j = n + 2, #keys do
  local px = expiry[tonumber(argv[at])]
  if px then
    call('SET', keys[j], argv[at + 1], 'PX', px)
  end
  at = at + 2
end
return left
